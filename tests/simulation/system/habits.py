"""What one seed's world is like."""

from __future__ import annotations

from dataclasses import dataclass, field

from sluice.conda.names import NOARCH
from sluice.layout import Subdir
from sluice.limits import PACK_BYTES_MAX, PACK_GAP_BYTES_MAX, PACKED_LEAVES_MIN
from tests.simulation.system.packages import FILENAMES


@dataclass(frozen=True, slots=True)
class RejectLimits:
    """The bounds on what is kept of files that cannot be indexed."""

    kept: int = 50_000
    """Rejects of one subdir."""
    requeued: int = 200
    """Unknown files of a subdir with as many, that a step of reconcile has read."""
    sentences: int = 1000
    """Of one package name."""
    listed: int = 1000
    """In the document for people."""
    listed_of_name: int = 100
    """Of these, of one package name, if not all can be listed."""


@dataclass(frozen=True, slots=True)
class Habits:
    """The parameters of one world; what is a float is a probability."""

    subdirs: tuple[Subdir, ...]
    turns: int
    """How often somebody may act before everything comes to rest."""
    debounce_seconds: int
    shards_first: bool
    """Whether every index counts as large, so that early merges publish its shards alone."""
    page_size: int
    batch_records: int
    """Of staging, per commit of a merge."""
    names_at_once: int
    """That merge and reconcile hold in memory."""
    heads_per_page: int
    """Beyond which merge lists packages that it would otherwise HEAD."""
    together_from_bytes: int
    """From which size of its body on an index file is sent while its compressed form is made."""
    reads_ahead: bool
    """Whether merge does what it begins at once, or when it needs it."""
    garbage_at_once: int
    """That one collection deletes, at least."""
    step_ms: int
    """How long a step of reconcile works."""
    merge_ms: int
    """How long a merge works before it leaves the rest to another."""
    retention_days: int
    new_extractor: bool
    """Whether one is deployed half way."""
    indexed_before: float
    """By another tool, for each subdir."""
    dropped: float
    """Of events."""
    duplicated: float
    delayed: float
    """By minutes and not by moments."""
    killed: float
    """Per turn of a function, as all below."""
    unanswered: float
    sleeps: float
    late: float
    """A write without an answer lands later."""
    stalls: tuple[tuple[str, str], ...]
    steps: int
    """Requests that a function makes in a row, on average."""
    throttled: float
    """Invocations that start late."""
    oversleeps: bool
    """Who sleeps may wake as a zombie, when others have long since taken over."""
    acts: float
    """People, per turn."""
    places: int
    """Of which each subdir has so many."""
    favourite: float
    """Of what people do, as much is about the same place each time."""
    variants: int
    """Of each package."""
    deletes: float
    """Of what people do to a package that is there."""
    slow: float
    """Packages that are slow to read, of what people upload."""
    odd: float
    """Files that can be no packages, or are where no package is, of what people do."""
    others: float
    """Of what people do: another tool, or a hand, in the index."""
    configures: float
    """Of what people do: configurations and patches."""
    reconciles: float
    jumps: float
    """Much time passes at once."""
    amends: float
    """Operators, per turn, who pin, unpin and roll back."""
    jump_hours: tuple[int, ...]
    """How much."""
    archives: float = 0.0
    """Of what people do: a package is archived or restored, and no event tells, or a late one."""
    pins: float = 0.4
    """Of what operators do: half of the rest is to unpin, and half to roll back."""
    patched: bool = False
    """Whether all configurations ask for patches from the beginning, and only patches change."""
    switches: float = 0.0
    """Administrators, per turn, who change the bucket parameter or restore the bucket."""
    restores: float = 0.5
    """Of what they do; the rest are mistakes."""
    lingers: float = 0.3
    """Environments of before such a change that still handle messages, per message."""
    naps: bool = False
    """Whether there are people who work on machines that are put to sleep."""
    brake_from: int = 50
    """Packages in an index of which a comparison may not remove more than half."""
    brake_days: int = 3
    """For which it waits with that."""
    lies: float = 0.0
    """Listings that show a subdir empty or cut short, of those that it is compared by."""
    days: int = 0
    """After all that: how often people do some things, and what they ask for comes to its end."""
    empties: float = 0.0
    """On each of these days: much of a subdir is deleted or restored, and no event tells."""
    day_acts: int = 2
    """On each of these days but the first: what people do at most."""
    refills: float = 0.0
    """On each of these days, before that: what was deleted is uploaded again."""
    misstates: float = 0.0
    """Of uploads: a digest in the metadata that is another's.  Where there are any, packages of any
    size are believed."""
    digests_a_day: int = 100
    """Packages that reconcile hashes of a subdir."""
    reindexes: float = 0.0
    """Another tool, per turn between two steps of a take-over: it indexes again."""
    confirms: float = 0.0
    """Of what people ask of reconcile: what an earlier report said that waits."""
    # Not in the text of habits, of which the administrators' dice are made.
    floods: float = field(default=0.0, repr=False)
    """Of what people do: somebody uploads what cannot be indexed, or others delete that."""
    reject_limits: RejectLimits = field(default=RejectLimits(), repr=False)
    """Small enough to be reached, where there are floods."""
    moves: float = field(default=0.0, repr=False)
    """Of what people do: packages or the index of a subdir, or all of a channel, are moved away."""
    retires: float = field(default=0.0, repr=False)
    """People, per turn, who retire a channel."""
    packed_from: int = field(default=PACKED_LEAVES_MIN, repr=False)
    """Leaves of a commit from which on they are packed.  No subdir here has as many as usual."""
    pack_bytes: int = field(default=PACK_BYTES_MAX, repr=False)
    """Bytes of a pack, at most."""
    pack_gap: int = field(default=PACK_GAP_BYTES_MAX, repr=False)
    """Bytes between two leaves of a pack that are read along."""
    garbles: float = field(default=0.0, repr=False)
    """Parts of packs that are answered with another part."""

    @property
    def steps_over(self) -> bool:
        """Whether the indexes of other tools are taken over in steps, one for each name.

        Where merges have plenty of time, or hold all names at once, there are none.
        """
        return self.names_at_once == 1 and not self.merge_ms

    @property
    def packs(self) -> bool:
        """Whether leaves are packed here."""
        return self.packed_from <= len(FILENAMES)

    @property
    def brakes(self) -> bool:
        """Whether anything ever waits here."""
        return self.brake_from <= len(FILENAMES)

    @property
    def with_noarch(self) -> list[Subdir]:
        """The subdirs, and the ``noarch`` that each channel comes to have."""
        channels = {subdir.channel for subdir in self.subdirs}
        return sorted({*self.subdirs, *(Subdir(channel, NOARCH) for channel in channels)})

    def stalls_at(self, operation: str, key: str) -> bool:
        """Tell whether functions tend to pause before this request."""
        return any(operation == one and part in key for one, part in self.stalls)
