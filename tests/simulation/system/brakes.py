"""What a comparison may remove on its own word, watched from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sluice.layout import Subdir
from sluice.storage.object_store import ObjectHeaders, ObjectStore
from sluice.storage.wrappers.forwarding import ForwardingStore
from testkit.memory_store import Stored
from tests.simulation.system import reading
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.clock import DAY, SECOND, Clock
from tests.simulation.system.packages import Place

_SKEW = 2 * SECOND
"""At most, of the clocks of functions, S3's whole seconds included."""


@dataclass(frozen=True, slots=True, order=True)
class _Decision:
    """That a file is to be removed.  Times are ms."""

    at: int
    since: int
    """When the run began that decided."""


@dataclass(slots=True)
class _Index:
    """What has been seen of the index of one subdir."""

    records: frozenset[str] = frozenset()
    left: dict[str, _Decision] = field(default_factory=dict)
    """Files that have left by a comparison's word."""
    left_at: dict[str, int] = field(default_factory=dict)
    """When they did."""
    held: list[tuple[int, int]] = field(default_factory=list)
    """When the head was swapped, and how many records there have been since."""

    def held_between(self, since: int, until: int, lately: Iterable[str]) -> list[int]:
        """How many there were at any time between, with those of ``lately`` that had left."""
        begun = max((number for number, (at, _) in enumerate(self.held) if at <= since), default=0)
        return [
            count + sum(self.left_at[filename] <= at for filename in lately)
            for at, count in self.held[begun:]
            if at <= until
        ]


class Brakes:
    """Holds reconcile to what it may remove; a violation is an ``AssertionError``."""

    def __init__(
        self,
        channel: Bucket,
        clock: Clock,
        subdirs: Iterable[Subdir],
        *,
        from_packages: int,
        days: int,
        lies: bool,
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._subdirs = {subdir.component: subdir for subdir in subdirs}
        self._from_packages = from_packages
        self._window = days * DAY
        self._lies = lies
        self._unheard: dict[Place, int] = {}
        """What is not there, though no event says so, with since when."""
        self._there: dict[Place, int] = {}
        """Since when what is there has been there."""
        self._confirmed: set[Place] = set()
        self._back: dict[Place, _Decision] = {}
        """What was not there for a time of which nobody can know that it has ended: since when, and
        until when."""
        self._staged: dict[Place, _Decision] = {}
        """When a comparison last staged a removal."""
        self._decided: dict[Place, int] = {}
        """When that was decided, as it is stored."""
        self._indexes = {subdir: _Index() for subdir in subdirs}

    # --- people ----------------------------------------------------------------------------

    def touched(self, place: Place, *, heard: bool) -> None:
        """Somebody has put a package there or taken it away; ``heard``: an event will tell.

        Who neither compares in between nor hears of an object cannot know that one was there.
        """
        back = self._back.pop(place, None)
        gone = self._unheard.get(place, back.at if back else None)
        for known in (self._unheard, self._staged, self._decided, self._there):
            known.pop(place, None)
        self._confirmed.discard(place)
        self._indexes[place.subdir].left.pop(place.filename, None)
        if place.key in self._channel.objects:
            self._there[place] = self._clock.ms
            if gone is not None:
                self._back[place] = _Decision(gone, self._clock.ms)
        elif not heard:
            self._unheard[place] = self._clock.ms if gone is None else gone

    def confirm(self) -> None:
        """An operator has confirmed what is missing by now."""
        self._confirmed |= self._unheard.keys()

    # --- reconcile -------------------------------------------------------------------------

    def watched(self, state: ObjectStore, *, since: int) -> ObjectStore:
        """The state bucket for a run of reconcile that began then."""
        return _Watched(state, self, since)

    def stages(self, key: str, *, since: int) -> None:
        """Reconcile stages the removal of a file, in a run that began at ``since``."""
        _, channel, name, *_ = key.split("/")
        subdir = self._subdirs[f"{channel}/{name}"]
        filename = subdir.staged_filename(key)
        assert filename, f"{key} is about no file"
        place = Place(subdir, filename)
        there_since = self._there.get(place, self._clock.ms)
        assert there_since + _SKEW > since, f"a removal is staged of {place.key}, which is there"
        self._staged[place] = _Decision(self._clock.ms, since - _SKEW)

    # --- what changes ----------------------------------------------------------------------

    def reported(self, key: str, after: Stored) -> None:
        """A run has written its report."""
        report = reading.document(after.body) if key.count("/") == 1 else None
        if not report or not report["finished_at"] or report["counts"]["failed"]:
            return
        asked = report["request"]
        # Of a run over everything, listings that lie may have kept a subdir.
        if asked["dry_run"] or (self._lies and asked["subdir"] is None):
            return
        for place, back in list(self._back.items()):
            subdir = place.subdir
            seen = asked["channel"] in (None, subdir.channel) and asked["subdir"] in (
                None,
                subdir.name,
            )
            if seen and report["started_at"] - _SKEW > back.since:
                del self._back[place]

    def in_state(self, key: str, after: Stored) -> None:
        """The stored brake of a subdir has changed."""
        subdir = self._subdirs[key.removeprefix("brakes/").removesuffix(".json")]
        for filename, at in reading.document(after.body)["removed"].items():
            self._decided[Place(subdir, filename)] = at

    def swapped(self, subdir: Subdir, entries: Mapping[str, Mapping[str, Any]]) -> None:
        """The head of a subdir has these entries now."""
        index = self._indexes[subdir]
        records = frozenset(name for name, one in entries.items() if one["kind"] == "record")
        gone = {
            filename: decision
            for filename in index.records - records
            if (decision := self._by_its_word(Place(subdir, filename)))
        }
        for filename, one in entries.items():
            place = Place(subdir, filename)
            back = self._back.get(place)
            if back and one["identity"] and (one["identity"]["modified"] + 1) * SECOND > back.at:
                del self._back[place]
        index.records = records
        index.left = {
            filename: decision
            for filename, decision in {**index.left, **gone}.items()
            if filename not in records
        }
        index.left_at |= dict.fromkeys(gone, self._clock.ms)
        if gone:
            self._check(subdir, index, max(gone.values()))
        index.held.append((self._clock.ms, len(records)))

    def _by_its_word(self, place: Place) -> _Decision | None:
        """The decision, where a comparison alone decided on a removal that had not waited."""
        gone, staged = self._unheard.get(place), self._staged.get(place)
        if gone is None or staged is None or place in self._confirmed:
            return None
        stored = self._decided.get(place, 0)
        # Of an earlier removal, where it was decided before that run began.
        decided = replace(staged, at=stored) if staged.since <= stored <= staged.at else staged
        return decided if decided.at - gone < self._window - _SKEW else None

    def _lately(self, index: _Index, now: int) -> list[str]:
        return [name for name, one in index.left.items() if now - one.at < self._window - _SKEW]

    def _check(self, subdir: Subdir, index: _Index, newest: _Decision) -> None:
        lately = [name for name in self._lately(index, newest.at) if index.left[name] <= newest]
        held = index.held_between(newest.since, newest.at + _SKEW, lately)
        allowed = min(held) < self._from_packages or 2 * len(lately) <= max(held)
        assert allowed, (
            f"{len(lately)} of {max(held)} packages left {subdir.prefix} within days, "
            f"because a comparison did not find them: {sorted(lately)}"
        )


class _Watched(ForwardingStore):
    """Tells of each removal that is staged."""

    def __init__(self, store: ObjectStore, brakes: Brakes, since: int) -> None:
        super().__init__(store)
        self._brakes = brakes
        self._since = since

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``."""
        if key.startswith("staging/") and reading.document(body)["verdict"] == "removed":
            self._brakes.stages(key, since=self._since)
        self._store.put(key, body, headers)


def newest_waiting(state: Bucket) -> str | None:
    """The digest of what waits by the newest report that tells of anything that does."""
    for key in reversed(state.keys("reconciliations/")):
        if key.count("/") > 1:
            continue
        for step in reading.document(state.body(key))["steps"].values():
            for subdir in step["subdirs"]:
                if subdir["waiting"]:
                    digest: str = subdir["waiting"]["digest"]
                    return digest
    return None
