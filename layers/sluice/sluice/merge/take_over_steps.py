"""The steps of a take-over that one merge has no time for.

A step writes leaves and shards of as many names as there is time for, stores what it has written
(``takeover.progress``) and asks for another merge.  It commits nothing, publishes nothing and
consumes nothing.  The step that finds all names written commits them, and publishes.

Any merge of the subdir can be a step, and two at once do no harm: of what they store the later one
stays, and the head is swapped once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import UNSET

from sluice.catalog.tree import Node, Tree
from sluice.conda.names import NO_NAME, package_name
from sluice.errors import Unavailable
from sluice.layout import Subdir
from sluice.limits import (
    MERGE_TIME_RESERVE_MS,
    PUBLISH_TIME_RESERVE_MS_MAX,
    PUBLISHED_FILES_PER_SECOND,
    PUBLISHED_NAMES_PER_SECOND,
    SWAP_SECONDS_MAX,
    TAKE_OVER_ATTEMPTS_MAX,
    TAKE_OVER_IN_STEPS_RECORDS_MIN,
)
from sluice.merge.plan import CommitPlan
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore
from sluice.takeover.existing_index import ExistingIndex
from sluice.takeover.progress import (
    FinishedName,
    TakeOverProgress,
    decode_progress,
    encode_progress,
    name_digest,
    purpose_digest,
)

if TYPE_CHECKING:
    from sluice.merge.generation_writer import Draft


_ROUNDS_BESIDE_COMMIT = 1
"""Rounds of writing that a step may have and still commit without time to publish."""


class WrittenName(NamedTuple):
    """One name that a step has drafted."""

    name: str
    node: Node | None
    """``None``: nothing is written for it."""
    taken_over: int
    """Records from the index."""
    rejects_changed: bool
    has_pins: bool


def publish_reserve_ms(names: int, files: int) -> int:
    """Time that must be left for the first publication of a subdir, which reads every leaf."""
    seconds = names // PUBLISHED_NAMES_PER_SECOND + files // PUBLISHED_FILES_PER_SECOND
    return MERGE_TIME_RESERVE_MS + min(seconds * 1000, PUBLISH_TIME_RESERVE_MS_MAX)


class TakeOverSteps:
    """The steps of one subdir's take-over, as far as one merge goes."""

    def __init__(
        self, state: ObjectStore, subdir: Subdir, bucket: str, time_left_ms: Callable[[], int]
    ) -> None:
        """``bucket``: of the channel."""
        self._state = state
        self._subdir = subdir
        self._bucket = bucket
        self._time_left_ms = time_left_ms
        self._progress: TakeOverProgress | None = None
        """Kept for when this merge loses the head and begins again."""
        self.is_stored = False
        """Whether the state has a progress of this subdir."""

    def begin(self, parent: Tree, plan: CommitPlan) -> TakeOverStep | None:
        """Begin a step; ``None`` if the plan takes over nothing for which time may run short.

        Makes one request for a large index, and none for any other.  Raises ``Unavailable``, also
        for a take-over that never ends, and ``TooNew``.
        """
        index = plan.existing_index
        if (
            index is None
            or plan.inputs is None
            or index.record_count < TAKE_OVER_IN_STEPS_RECORDS_MIN
        ):
            return None
        now_ms = self._state.now_ms()
        purpose = purpose_digest(self._bucket, plan.inputs.inputs)
        progress = self._progress or self._read()
        if progress is None or not progress.is_usable(purpose, now_ms=now_ms):
            attempt = progress.next_attempt(purpose, now_ms=now_ms) if progress else 1
            attempt_ms = SWAP_SECONDS_MAX * 1000
            # Outside Lambda one merge has the time of a whole attempt.
            if attempt > TAKE_OVER_ATTEMPTS_MAX and self._time_left_ms() < attempt_ms:
                raise self._given_up()
            not_after_ms = now_ms + attempt_ms
            progress = TakeOverProgress(
                made_for=purpose,
                not_after_ms=not_after_ms,
                names={},
                attempt=attempt if attempt > 1 else UNSET,
            )
        self._progress = progress
        return TakeOverStep(parent, plan, index, progress, self._time_left_ms)

    def store(self) -> None:
        """Store what is written, for the next step; raises ``Unavailable`` and ``TooLarge``."""
        if self._progress:
            self.is_stored = True
            self._state.put(
                self._subdir.take_over_key,
                encode_progress(self._progress),
                object_headers.PRIVATE_ZSTD_HEADERS,
            )

    def _given_up(self) -> Unavailable:
        minutes = SWAP_SECONDS_MAX // 60
        return Unavailable(
            f"taking over the index in {self._subdir.prefix} exceeded {minutes} minutes in each of "
            f"{TAKE_OVER_ATTEMPTS_MAX} attempts. The next attempt follows in a day. To retry now, "
            "give MergeFunction more memory (MergeMemorySize), which makes it faster, and delete "
            f"{self._subdir.take_over_key} in the state bucket"
        )

    def _read(self) -> TakeOverProgress | None:
        key = self._subdir.take_over_key
        stored = self._state.get(key)
        self.is_stored = stored is not None
        return decode_progress(stored.body, what=key) if stored else None


class TakeOverStep:
    """One step: which names need not be drafted, and when to stop."""

    def __init__(
        self,
        parent: Tree,
        plan: CommitPlan,
        index: ExistingIndex,
        progress: TakeOverProgress,
        time_left_ms: Callable[[], int],
    ) -> None:
        self._parent = parent
        self._index = index
        self._rerender_names = plan.rerender_names
        self._progress = progress
        self._time_left_ms = time_left_ms
        # What is written for these names depends on more than their digests.
        self._judged = {NO_NAME, *plan.edits, *map(package_name, plan.verdicts)}
        self._digests: dict[str, bytes] = {}
        self._drafted: dict[str, FinishedName] = {}
        """Names whose objects may still be on their way."""
        self._rounds = 0
        self.not_after_ms = progress.not_after_ms
        """Deadline for swapping a head to a draft that has names of earlier steps."""

    def finished(self, names: AbstractSet[str]) -> Mapping[str, FinishedName]:
        """What earlier steps have written for some of the names, if it is still right."""
        known = self._progress.names
        return {
            name: known[name]
            for name in names - self._judged
            if name in known and known[name].digest == self._digest(name)
        }

    def is_over(self) -> bool:
        """Whether there is no time for another round.  Each step has one."""
        return self._rounds > 0 and self._time_left_ms() < MERGE_TIME_RESERVE_MS

    def add(self, names: Iterable[WrittenName]) -> None:
        """Note what is being written in one round."""
        added = {
            one.name: FinishedName(
                self._digest(one.name), one.node, one.taken_over, one.rejects_changed, one.has_pins
            )
            for one in names
            if one.name not in self._judged
        }
        self._rounds += bool(added)
        self._drafted |= added

    def settle(self, nodes: Mapping[str, Node]) -> None:
        """Note the final nodes of names that were added."""
        for name in nodes.keys() & self._drafted.keys():
            self._drafted[name] = msgspec.structs.replace(self._drafted[name], node=nodes[name])

    def confirm(self, unwritten: AbstractSet[str] = frozenset()) -> None:
        """Take the names that were added for finished: all their objects are written.

        ``unwritten``: names of which this is not so yet.
        """
        drafted = self._drafted
        self._drafted = {name: drafted[name] for name in drafted.keys() & unwritten}
        self._progress.names.update(
            {name: finished for name, finished in drafted.items() if name not in unwritten}
        )

    def may_commit(self, draft: Draft) -> bool:
        """Whether a draft is whole, and there is time to publish it.

        A step that had next to nothing to write commits at once: no later one has more time.
        """
        if draft.names_left:
            return False
        names = len(self._parent.names.keys() | draft.nodes.keys())
        files = self._parent.files + draft.taken_over
        return self._rounds <= _ROUNDS_BESIDE_COMMIT or self._time_left_ms() >= publish_reserve_ms(
            names, files
        )

    def _digest(self, name: str) -> bytes:
        if name not in self._digests:
            self._digests[name] = name_digest(
                self._index.digest(name),
                self._parent.names.get(name),
                rerender=name in self._rerender_names,
            )
        return self._digests[name]
