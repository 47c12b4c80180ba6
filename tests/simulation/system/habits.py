"""What one seed's world is like: drawn once, so that seeds differ in kind and not only in order.

A fault that is always a little likely rarely meets another; one that is frequent in some worlds and
absent in others does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from sluice.conda.names import NOARCH
from sluice.layout import Subdir
from tests.simulation.system.packages import FILENAMES

_CHANNELS = (
    (Subdir("team", "linux-64"), Subdir("team", "noarch")),
    (Subdir("team", "linux-64"),),
    (Subdir("", "noarch"), Subdir("Conda/Default", "osx-arm64")),
    (Subdir("", "linux-64"), Subdir("linux-64", "noarch")),
)
_STALLS: tuple[tuple[str, str], ...] = (
    ("DeleteObjects", ""),
    ("DeleteObjects", "/shards/"),
    ("DeleteObjects", "leaves/"),
    ("PutObject", "heads/"),
    ("PutObject", "commits/"),
    ("PutObject", "staging/"),
    ("PutObject", "/repodata"),
    ("PutObject", "repodata_shards"),
    ("PutObject", "marks/"),
    ("SendMessage", ""),
    ("ListObjectsV2", "staging/"),
    ("HeadObject", ".conda"),
)

_NAPS = 0.25
"""How likely a world has machines that sleep."""
_STALLS_OF_MERGE = (
    ("PutObject", "heads/"),
    ("PutObject", "commits/"),
    ("PutObject", "/repodata"),
    ("ListObjectsV2", "staging/"),
)
_STALLS_OF_COLLECTION = (("DeleteObjects", "/shards/"), ("DeleteObjects", "leaves/"))


@dataclass(frozen=True, slots=True)
class Habits:
    """The parameters of one world; what is a float is a probability."""

    subdirs: tuple[Subdir, ...]
    turns: int
    """How often somebody may act before everything comes to rest."""
    debounce_seconds: int
    queue_delays: bool
    """Whether MergeQueue delays messages; an emulator's may not."""
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
    odd: float
    """Files that can be no packages, of what people do."""
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
    switches: float = 0.0
    """Administrators, per turn, who change the bucket parameter or restore the bucket."""
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
    confirms: float = 0.0
    """Of what people ask of reconcile: what an earlier report said that waits."""

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


def draw(rng: Random) -> Habits:
    """Draw the habits of a world."""
    habits = _draw(rng)
    theme = rng.choice((None, None, _crowd, _crowd, _age, _age, _neglect, _storm))
    return theme(habits, rng) if theme else habits


def with_operators(habits: Habits, rng: Random) -> Habits:
    """The same, in some worlds with operators; ``rng`` is drawn from for nothing else."""
    return replace(habits, amends=rng.choice((0.0, 0.0, 0.02, 0.1)))


def with_administrators(habits: Habits, rng: Random) -> Habits:
    """The same, in some worlds with changes of the bucket; ``rng`` is drawn from for that alone."""
    if habits.brakes:
        return habits
    # More often where there are pins to be lost by it.
    never = (0.0,) if habits.amends else (0.0, 0.0, 0.0)
    return replace(habits, switches=rng.choice((*never, 0.02, 0.1)))


def with_sleepers(habits: Habits, rng: Random) -> Habits:
    """The same, in some worlds with machines that sleep; ``rng`` is drawn from for nothing else.

    Superseded generations are kept for no longer than such a machine sleeps.
    """
    naps = rng.random() < _NAPS and not habits.brakes
    return replace(habits, naps=True, retention_days=1) if naps else habits


def with_brakes(habits: Habits, rng: Random) -> Habits:
    """The same, in some worlds with a brake that few packages set off, and many deletions unheard.

    ``rng`` is drawn from for nothing else.
    """
    if rng.random() < 0.75:
        return habits
    return replace(
        habits,
        subdirs=habits.subdirs[:1],
        turns=60,
        days=rng.choice((5, 10)),
        brake_from=rng.choice((3, 4)),
        brake_days=1,
        lies=rng.choice((0.0, 0.0, 0.1, 0.4)),
        empties=rng.choice((0.4, 0.8)),
        confirms=rng.choice((0.0, 0.6)),
        dropped=rng.choice((0.0, 0.3)),
        acts=0.2,
        places=4,
        favourite=0.0,
        deletes=rng.choice((0.1, 0.3)),
        indexed_before=rng.choice((0.0, 0.5)),
        configures=0.0,
        amends=0.0,  # not for as long as days pass here may a rollback take
        reconciles=0.05,
        jumps=0.03,
        jump_hours=(1, 6, 13, 25),
    )


def _draw(rng: Random) -> Habits:
    def sometimes(chance: float, most: float) -> float:
        return rng.random() * most if rng.random() < chance else 0.0

    lossless = rng.random() < 0.4
    retention_days = rng.choice((1, 2, 7))
    return Habits(
        subdirs=rng.choice(_CHANNELS),
        turns=rng.choice((60, 120, 240)),
        debounce_seconds=rng.choice((3, 5, 10)),
        queue_delays=rng.random() < 0.8,
        page_size=rng.choice((2, 5, 1000)),
        batch_records=rng.choice((1, 3, 1000)),
        names_at_once=rng.choice((1, 256)),
        heads_per_page=rng.choice((0, 8)),
        together_from_bytes=rng.choice((0, 1 << 40)),
        reads_ahead=rng.random() < 0.5,
        garbage_at_once=rng.choice((3, 50_000)),
        step_ms=rng.choice((0, 100, 500_000)),
        merge_ms=rng.choice((0, 500_000)),
        retention_days=retention_days,
        new_extractor=rng.random() < 0.3,
        indexed_before=rng.choice((0.0, 0.0, 0.5)),
        dropped=0.0 if lossless else sometimes(0.6, 0.5),
        duplicated=sometimes(0.5, 0.5),
        delayed=sometimes(0.5, 0.5),
        killed=sometimes(0.5, 0.1),
        unanswered=sometimes(0.5, 0.15),
        sleeps=sometimes(0.5, 0.1),
        late=0.0 if lossless else sometimes(0.5, 1.0),
        stalls=tuple(rng.sample(_STALLS, rng.choice((0, 1, 2)))),
        steps=rng.choice((1, 3, 10)),
        throttled=sometimes(0.5, 0.2),
        oversleeps=rng.random() < 0.3,
        acts=rng.choice((0.05, 0.2)),
        places=rng.choice((2, 4)),
        favourite=rng.choice((0.0, 0.5)),
        variants=rng.choice((1, 3)),
        deletes=rng.choice((0.2, 0.5, 0.8)),
        odd=0.0 if lossless else sometimes(0.5, 0.1),
        others=0.0 if lossless else sometimes(0.3, 0.2),
        configures=sometimes(0.5, 0.5),
        reconciles=rng.choice((0.0, 0.01, 0.05)),
        jumps=rng.choice((0.0, 0.01, 0.05)),
        amends=0.0,
        jump_hours=(1, 6, 23, 26, 24 * retention_days + 3),
        switches=0.0,
    )


def _crowd(habits: Habits, rng: Random) -> Habits:
    """Let merges of one subdir overlap, which its FIFO group hardly ever lets happen."""
    return replace(
        habits,
        subdirs=habits.subdirs[:1],
        turns=60,
        batch_records=1000,
        indexed_before=0.0,
        dropped=0.0,
        duplicated=0.0,
        late=0.0,
        killed=0.0,
        unanswered=0.0,
        stalls=(rng.choice(_STALLS_OF_MERGE),),
        steps=10,
        sleeps=0.0,
        throttled=0.1,
        oversleeps=True,
        acts=0.1,
        places=rng.choice((1, 2)),
        deletes=0.5,
        odd=0.0,
        others=0.0,
        configures=0.0,
        reconciles=0.0,
        jumps=0.0,
    )


def _age(habits: Habits, rng: Random) -> Habits:
    """Let much become garbage, and what becomes garbage come back."""
    return replace(
        habits,
        subdirs=habits.subdirs[:1],
        turns=240,
        garbage_at_once=50_000,
        step_ms=500_000,
        retention_days=1,
        new_extractor=False,
        indexed_before=0.0,
        dropped=0.0,
        duplicated=0.0,
        delayed=0.0,
        killed=0.0,
        unanswered=0.0,
        sleeps=0.0,
        stalls=(rng.choice(_STALLS_OF_COLLECTION),),
        steps=10,
        throttled=0.0,
        oversleeps=True,
        acts=0.1,
        places=2,
        favourite=0.8,
        deletes=0.5,
        variants=1,
        odd=0.0,
        others=0.0,
        reconciles=0.02,
        jumps=0.1,
        jump_hours=(1, 26, 27),
    )


def _neglect(habits: Habits, rng: Random) -> Habits:
    """Let events get lost, and others write over the index, so that all rests on reconcile."""
    return replace(
        habits,
        turns=120,
        dropped=rng.choice((0.3, 0.6, 1.0)),
        acts=0.2,
        others=0.1,
        jumps=0.0,
    )


def _storm(habits: Habits, rng: Random) -> Habits:
    """Let so much fail that messages end in the dead-letter queues."""
    return replace(
        habits,
        turns=400,
        killed=0.02,
        unanswered=rng.choice((0.3, 0.4)),
        steps=1,
        acts=0.01,
        reconciles=0.01,
    )
