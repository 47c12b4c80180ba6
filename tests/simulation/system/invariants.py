"""What must be true between any two requests, checked as each change lands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from sluice.layout import (
    PATCH_INSTRUCTIONS,
    REPODATA,
    REPODATA_ZST,
    SHARD_INDEX,
    SLUICE_TOML,
    Subdir,
    channel_binding_key,
)
from sluice.storage.object_id import ObjectId
from testkit.memory_store import Stored
from tests.simulation.system import reading
from tests.simulation.system.brakes import Brakes
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.clock import DAY, SECOND, Clock
from tests.simulation.system.configurations import OPTIONAL
from tests.simulation.system.habits import RejectLimits
from tests.simulation.system.packages import SUFFIXES, Place, record_of, stated_digest
from tests.simulation.system.reading import Index, Record
from tests.simulation.system.rejects import check_swap

INDEX_FILES: Mapping[str, Callable[[bytes], Index]] = {
    SHARD_INDEX: reading.shard_index,
    REPODATA_ZST: reading.repodata_zst,
    REPODATA: reading.repodata,
}
COLLECTABLE = ("trees/", "leaves/", "packs/", "commits/", "patches/", "taken-over/")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Somebody who still holds a shard index."""

    shards: frozenset[str]
    """Keys."""
    superseded_at: float = inf


@dataclass(slots=True)
class _Known:
    """What has been seen of one subdir."""

    head: tuple[int, int] = (-1, -1)
    """Generation and epoch."""
    swapped: int = -1
    """The moment of the last swap of the head."""
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the head says of each file."""
    is_public: bool = False
    """Whether the head has taken over the index that was there, and is published over it."""
    reachable: frozenset[str] = frozenset()
    """Keys in either bucket that the head refers to."""
    files: dict[str, Index] = field(default_factory=dict)
    deleted_by_others: set[str] = field(default_factory=set)
    """Index files that somebody has deleted, and that nothing has replaced yet."""
    optional: dict[str, int] = field(default_factory=dict)
    """Generations of the other index files that there are."""
    settled: dict[str, dict[str, tuple[str, int | None] | None]] = field(default_factory=dict)
    """By index file and filename: digest and ``indexed_timestamp`` of what nobody has touched
    since the index has had it; ``None``: it is gone from bucket and index alike."""
    readers: list[_Reader] = field(default_factory=list)
    buried: int = -1
    """The generation of the last tombstone.  Whatever is published of it or before it is of a
    catalog that is gone."""


class Invariants:
    """Watches both buckets; a violation is an ``AssertionError``."""

    def __init__(
        self,
        channel: Bucket,
        state: Bucket,
        clock: Clock,
        subdirs: Iterable[Subdir],
        *,
        days: int,
        frozen: Sequence[Bucket],
        bucket_name: Callable[[], str],
        brakes: Brakes,
        reject_limits: RejectLimits,
    ) -> None:
        """``days``: for how long a superseded index can be read; ``frozen``: what was restored;
        ``bucket_name``: of the current bucket."""
        self.unheard: set[Place] = set()
        """What was uploaded last without an event that tells of it."""
        self.brakes = brakes
        self._channel = channel
        self._state = state
        self._clock = clock
        self._frozen = frozen
        self._bucket_name = bucket_name
        self._retention_ms = days * DAY
        self._reject_limits = reject_limits
        self._subdirs = {subdir.prefix: subdir for subdir in subdirs}
        self._by_head = {subdir.head_key: subdir for subdir in subdirs}
        self._known = {subdir: _Known() for subdir in subdirs}
        self._uploaded: set[tuple[Place, str]] = set()
        self._touched: dict[Place, int] = {}
        self._there_since: dict[Place, int] = {}
        """Since when something has been there without a break."""
        self._pinned: dict[Place, int] = {}
        """What operators have pinned out as it is there, with the generation that does so."""
        self._moment = 0
        self._by_others = False
        self._by_retirement = False

    # --- people ----------------------------------------------------------------------------

    def touched(self, place: Place, *, heard: bool = True) -> None:
        """Somebody has put a package there or taken it away; ``heard``: an event tells of it."""
        self._moment += 1
        self.brakes.touched(place, heard=heard)
        self._touched[place] = self._moment
        self.unheard.discard(place)
        if place.key in self._channel.objects:
            self._there_since.setdefault(place, self._moment)
        else:
            self._there_since.pop(place, None)
        record = self._now_there(place)
        if record:
            self._uploaded.add((place, record["sha256"]))
            stated = stated_digest(self._channel.objects[place.key].info)
            if stated:  # which is believed until it is checked
                self._uploaded.add((place, stated))
        for settled in self._known[place.subdir].settled.values():
            settled.pop(place.filename, None)
        self._pinned.pop(place, None)

    def moved_away(self, subdir: Subdir, file: str) -> None:
        """Somebody has taken an index file away; nothing shows any more which one it was."""
        self._known[subdir].files.pop(file, None)
        self._known[subdir].optional.pop(file, None)

    def uploaded_unheard(self, place: Place) -> None:
        """No event tells of what somebody has just put there."""
        self.unheard.add(place)

    def pinned(self, place: Place, identity: ObjectId, generation: int) -> None:
        """An operator was told that this object is kept out from a generation on."""
        stored = self._channel.objects.get(place.key)
        if stored and ObjectId.from_info(stored.info) == identity:
            self._pinned[place] = generation

    def may_come_back(self, subdir: Subdir, filename: str | None = None) -> None:
        """An operator is about to let a file in again, or (``None``) any."""
        for place in list(self._pinned):
            if place.subdir == subdir and filename in (None, place.filename):
                del self._pinned[place]

    def identity_of_pin(self, subdir: Subdir, filename: str, generation: int) -> ObjectId | None:
        """The object that a generation pins out; ``None`` where it is not the newest any more."""
        known = self._known[subdir]
        entry = known.entries.get(filename)
        if known.head[0] != generation or not entry or not entry["identity"]:
            return None
        return ObjectId(**entry["identity"])

    def check_pins(self) -> None:
        """Hold the catalog to what operators were told."""
        for place in self._pinned:
            entry = self._known[place.subdir].entries.get(place.filename)
            assert entry, f"{place.key} is not pinned out any more"
            assert entry["kind"] == "pin", f"{place.key} is not pinned out any more"

    @contextmanager
    def by_others(self) -> Iterator[None]:
        """What changes in here is none of sluice's doing."""
        self._by_others = True
        yield
        self._by_others = False

    @contextmanager
    def by_retirement(self) -> Iterator[None]:
        """What changes in here is done by somebody who retires a channel."""
        was, self._by_retirement = self._by_retirement, True
        try:
            yield
        finally:
            self._by_retirement = was

    def indexed_by_others(self, subdir: Subdir) -> None:
        """What another tool has indexed that sluice does not know yet: nothing may be lost."""
        known = self._known[subdir]
        known.settled.clear()  # of an index of before
        committed = {
            name: one["record"]["sha256"]
            for name, one in known.entries.items()
            if one["kind"] == "record"
        }
        for file in INDEX_FILES:
            for filename, record in self._records(subdir, file).items():
                self._uploaded.add((Place(subdir, filename), record["sha256"]))
                place = Place(subdir, filename)
                there = self._now_there(place)
                is_late = self._touched.get(place, 0) > known.swapped
                if known.is_public and (is_late or committed.get(filename) != record["sha256"]):
                    # The head is published over this index.  It hears of the file later, or has
                    # taken over a record of an earlier object, which reconcile has read again.
                    continue
                if there and there["sha256"] == record["sha256"]:
                    told = record["sha256"], record.get("indexed_timestamp")
                    known.settled.setdefault(file, {})[filename] = told

    def may_show_what_is_gone(self, channel: str) -> None:
        """The catalog of a channel is about to be moved to the bucket.

        Late merges of the bucket of before may have committed what is there and not here.  It
        leaves the index with the next comparison.
        """
        for subdir, known in self._known.items():
            if subdir.channel == channel:
                for settled in known.settled.values():
                    for filename in [name for name, there in settled.items() if there is None]:
                        del settled[filename]

    def reachable(self, subdir: Subdir) -> frozenset[str]:
        """The keys that the head refers to, in either bucket."""
        return self._known[subdir].reachable

    def check_extractors(self, version: int) -> None:
        """Hold every verdict in the catalog to be one of that extractor's."""
        for subdir, known in self._known.items():
            other = [
                name
                for name, one in known.entries.items()
                if one["extractor"] != version
                and one["kind"] != "pin"
                and one.get("code") != "digests-false"
            ]
            assert not other, f"{subdir} has verdicts of another extractor on {other}"

    def is_published(self, subdir: Subdir) -> bool:
        """Tell whether sluice has published an index that is still there."""
        index = self._known[subdir].files.get(SHARD_INDEX)
        return index is not None and index.generation > 0

    # --- changes ---------------------------------------------------------------------------

    def in_channel(self, key: str, before: Stored | None, after: Stored | None) -> None:
        """Something changed in the channel bucket."""
        self._moment += 1
        if key.endswith((*SUFFIXES, SLUICE_TOML)):
            return
        folder, _, file = key.rpartition("/")
        subdir = self._subdirs.get(f"{folder}/")
        if subdir is None:
            self._check_shard(key, before, after)
        elif file in INDEX_FILES:
            if after:
                self._take(subdir, file)
            elif self._by_retirement or self._is_of_buried_catalog(subdir, file):
                self._known[subdir].files.pop(file, None)
                return
            if self._by_others:
                if after is None:
                    self._known[subdir].deleted_by_others.add(file)
            else:
                assert after, f"{key} is gone"
                if self._known[subdir].files[file].generation > self._known[subdir].buried:
                    self._check_file(subdir, file)
        elif file in OPTIONAL and not self._by_others:
            self._check_optional(subdir, file, after)

    def _check_optional(self, subdir: Subdir, file: str, after: Stored | None) -> None:
        """Hold a file that is not always there to those that are."""
        known, key = self._known[subdir], subdir.file_key(file)
        if after is None:
            known.optional.pop(file, None)
            return
        new = reading.optional(after.body, file)
        if file == PATCH_INSTRUCTIONS:  # of the generation in which the patch came
            return
        assert new.generation <= known.head[0], f"{key} is ahead of the head"
        assert new.generation >= known.optional.get(file, 0), f"{key} was replaced by an older one"
        known.optional[file] = new.generation
        twin = known.files.get(REPODATA)
        if twin and twin.generation == new.generation:
            # The packages that were taken over have no run exports before they are read.
            others = new.records.keys() - twin.records.keys()
            assert not others, f"{key} differs from {REPODATA} of the same generation: {others}"

    def in_state(self, key: str, before: Stored | None, after: Stored | None) -> None:
        """Something changed in the state bucket."""
        self._moment += 1
        kind = key.partition("/")[0] + "/"
        if kind in COLLECTABLE:
            if after is None and before is not None:
                self._check_collected(key, before)
        elif kind == "heads/":
            assert after, f"{key} is gone"
            assert key in self._by_head, f"{key} is the head of a subdir that nobody knows"
            self._check_head(self._by_head[key], after.body)
        elif kind == "brakes/":
            assert after or self._by_retirement, f"{key} is gone"
            if after:
                self.brakes.in_state(key, after)
        elif kind == "reconciliations/":
            assert after, f"{key} is gone"
            self.brakes.reported(key, after)
        else:
            goes = kind in ("staging/", "notes/", "takeovers/") or (
                kind == "marks/" and self._is_moving(key)
            )
            goes |= self._by_retirement and kind in ("marks/", "digests/", "rejects/", "bindings/")
            assert after or goes, f"{key} was deleted"
        assert kind != "unreadable/", "a staging record was unreadable"

    # --- inside ----------------------------------------------------------------------------

    def _is_bound_here(self, subdir: Subdir) -> bool:
        """Whether the catalog of a channel belongs to the current bucket, not to one before it."""
        binding = self._state.objects.get(channel_binding_key(subdir.channel))
        return not self._frozen or (
            binding is not None
            and reading.document(binding.body)["bucket"] == self._bucket_name()
            and not self._is_moving(subdir.head_key)
        )

    def _is_moving(self, key: str) -> bool:
        """Whether the catalog that a key is of is being bound to another bucket."""
        binding = self._state.objects.get(f"bindings/{key.split('/')[1]}.json")
        return binding is not None and "moving_to" in reading.document(binding.body)

    def _check_head(self, subdir: Subdir, body: bytes) -> None:
        known = self._known[subdir]
        head = reading.document(body)
        found = head["generation"], head["epoch"]
        assert found > known.head, f"the head of {subdir} went from {known.head} to {found}"
        swapped_before = known.swapped
        known.head, known.swapped = found, self._moment
        if head["tree"] is None:
            self._check_tombstone(subdir, head["generation"], swapped_before)
            return
        state, channel = self._state.objects, self._channel.objects
        stored = state.get(subdir.tree_key(head["tree"]))
        assert stored, f"the head of {subdir} refers to a tree that is not there"
        tree = reading.tree(stored.body)
        names = tree.names
        places = [place for place, _ in names.values()]
        in_state = [subdir.tree_key(head["tree"]), subdir.commit_key(head["commit"])]
        in_state += [place.key(subdir) for place in places]
        in_state += [subdir.patches.key(tree.patch)] if tree.patch else []
        in_channel = [subdir.shard_key(shard) for _, shard in names.values() if shard]
        missing = [key for key in in_state if key not in state]
        # Until a restored bucket is bound, the catalog still is that of the one before it.
        shards = channel.keys() | {key for one in self._frozen for key in one.objects}
        missing += [key for key in in_channel if key not in shards]
        assert not missing, f"the head of {subdir} refers to what is not there: {missing}"
        amendment = reading.document(state[subdir.commit_key(head["commit"])].body).get("amendment")
        # A catalog that moves with its bucket changes nothing that clients see.
        if amendment and (
            amendment["pinned"] or amendment["unpinned"] or amendment["rolled_back_to"] is not None
        ):
            self._amended(subdir)
        known.reachable = frozenset([*in_state, *in_channel])
        known.is_public = tree.public
        before = known.entries
        known.entries = {
            filename: entry
            for place in places
            for filename, entry in reading.leaf(state[place.key(subdir)].body, place).items()
        }
        check_swap(subdir, before, known.entries, self._reject_limits)
        forgotten = [
            filename
            for filename in before.keys() - known.entries.keys()
            if before[filename]["kind"] != "pin"  # somebody may let it in again
            and Place(subdir, filename).key in channel
            and self._is_bound_here(subdir)  # or it was compared with another bucket
            and self._there_since.get(Place(subdir, filename), self._moment) < swapped_before
        ]
        assert not forgotten, f"the head of {subdir} forgets {forgotten}, which are there"
        self.brakes.swapped(subdir, known.entries)
        self._settle(subdir)

    def _check_tombstone(self, subdir: Subdir, generation: int, swapped_before: int) -> None:
        """Hold a head without a catalog to there being nothing to forget."""
        known = self._known[subdir]
        if generation in (0, known.buried):  # of a first commit, or consumed staging
            return
        assert self._by_retirement, f"the head of {subdir} has lost its catalog"
        forgotten = [
            filename
            for filename in known.entries
            if Place(subdir, filename).key in self._channel.objects
            and self._there_since.get(Place(subdir, filename), self._moment) < swapped_before
        ]
        assert not forgotten, f"the tombstone of {subdir} forgets {forgotten}, which are there"
        known.buried = generation
        known.entries, known.reachable, known.is_public = {}, frozenset(), False
        known.files.clear()
        known.optional.clear()
        known.settled.clear()
        known.readers.clear()
        self.brakes.swapped(subdir, known.entries)

    def _amended(self, subdir: Subdir) -> None:
        """An operator has changed what is in the index, or when it came there."""
        self._known[subdir].settled.clear()
        mine = [place for place in self._touched if place.subdir == subdir]
        self._touched.update(dict.fromkeys(mine, self._moment))

    def _is_of_buried_catalog(self, subdir: Subdir, file: str) -> bool:
        """Tell whether a file is of a catalog that was retired."""
        known = self._known[subdir]
        index = known.files.get(file)
        return known.buried >= 0 and (index is None or index.generation <= known.buried)

    def _take(self, subdir: Subdir, file: str) -> None:
        known, key = self._known[subdir], subdir.file_key(file)
        old, new = known.files.get(file), INDEX_FILES[file](self._channel.body(key))
        if file in known.deleted_by_others:
            known.deleted_by_others.discard(file)
            if self._channel.lands_late:
                # It was sent before the deletion.  The key is absent as it was then, so
                # If-None-Match holds; S3 has no condition that tells two absences apart.
                old = None
                known.settled.pop(file, None)
        if old and not self._by_others:
            assert new.generation >= old.generation, f"{key} was replaced by an older one"
        known.files[file] = new
        if file == SHARD_INDEX and (self._by_others or new.generation > known.buried):
            self._hand_out(subdir, new)

    def _check_file(self, subdir: Subdir, file: str) -> None:
        known, key = self._known[subdir], subdir.file_key(file)
        new, records = known.files[file], self._records(subdir, file)
        assert new.generation <= known.head[0], f"{key} is ahead of the head"
        never = [
            filename
            for filename, record in records.items()
            if (Place(subdir, filename), record["sha256"]) not in self._uploaded
        ]
        assert not never, f"{key} has what was never uploaded: {never}"
        kept_out = [
            place.filename
            for place, since in self._pinned.items()
            if place.subdir == subdir and new.generation >= since
        ]
        shown = [filename for filename in kept_out if filename in records]
        assert not shown, f"{key} shows what is pinned out: {shown}"
        for other in INDEX_FILES:
            if twin := known.files.get(other):
                same = twin.generation != new.generation or records == self._records(subdir, other)
                assert same, f"{key} differs from {other} of the same generation"
        for filename, told in known.settled.get(file, {}).items():
            record = records.get(filename)
            if told is None:
                assert not record, f"{key} has a ghost of {filename}, which nobody touched"
                continue
            assert record, f"{key} lost {filename}, which nobody touched"
            sha256, timestamp = told
            assert record["sha256"] == sha256, f"{key} changed {filename}, which nobody touched"
            assert timestamp in (None, record["indexed_timestamp"]), f"{key} redated {filename}"
        self._settle(subdir)

    def _hand_out(self, subdir: Subdir, index: Index) -> None:
        known = self._known[subdir]
        now = self._clock.ms
        held = [one for one in known.readers if now - one.superseded_at < self._retention_ms]
        known.readers = [replace(one, superseded_at=min(now, one.superseded_at)) for one in held]
        shards = frozenset(map(subdir.shard_key, index.shards.values()))
        missing = shards - self._channel.objects.keys()
        assert not missing, f"the shard index of {subdir} names what is not there: {missing}"
        known.readers.append(_Reader(shards))

    def _settle(self, subdir: Subdir) -> None:
        """Take note of what the index has, as of a swap of the head after the last touch.

        A merge that still knows an earlier object cannot commit any more: the head has moved.
        """
        known = self._known[subdir]
        for file, index in known.files.items():
            if index.generation == 0 or index.generation != known.head[0]:
                continue
            settled, records = known.settled.setdefault(file, {}), self._records(subdir, file)
            for place, touched in self._touched.items():
                if place.subdir != subdir or touched > known.swapped:
                    continue
                record, entry = records.get(place.filename), known.entries.get(place.filename)
                stored = self._channel.objects.get(place.key)
                if not (record or entry or stored):
                    settled[place.filename] = None
                elif record and entry and stored and is_of(entry["identity"], stored):
                    # What was taken over may be wrong: others indexed an earlier object.
                    right = self._now_there(place)
                    if right and right["sha256"] == record["sha256"]:
                        settled[place.filename] = record["sha256"], record["indexed_timestamp"]

    def _check_shard(self, key: str, before: Stored | None, after: Stored | None) -> None:
        if after is None and before is not None:
            self._check_collected(key, before)
            return
        assert after
        assert key.endswith(".msgpack.zst"), f"nobody should have written {key}"
        reading.shard(after.body, key.rpartition("/")[2].partition(".")[0])

    def _check_collected(self, key: str, stored: Stored) -> None:
        now = self._clock.ms
        young = now - stored.info.modified * SECOND <= DAY
        assert self._by_retirement or not young, f"{key} was collected too young"
        for subdir, known in self._known.items():
            assert key not in known.reachable, f"{key} was collected, but {subdir} needs it"
            for reader in known.readers:
                held_for = max(0.0, now - reader.superseded_at)
                # S3 dates to the second before.
                assert held_for > self._retention_ms - SECOND or key not in reader.shards, (
                    f"{key} was collected {held_for / DAY:.1f} days after an index that names it"
                )

    def _records(self, subdir: Subdir, file: str) -> Mapping[str, Record]:
        index = self._known[subdir].files.get(file)
        if index is None:
            return {}
        if file != SHARD_INDEX:
            return index.records
        records: dict[str, Record] = {}
        for digest in index.shards.values():
            records.update(reading.shard(self._channel.body(subdir.shard_key(digest)), digest))
        return records

    def _now_there(self, place: Place) -> Record | None:
        stored = self._channel.objects.get(place.key)
        if stored is None or stored.info.archive:
            return None
        return record_of(place.subdir.name, place.filename, stored.body)


def is_of(identity: Mapping[str, Any] | None, stored: Stored) -> bool:
    """Tell whether an identity, as it is stored, is that of an object."""
    info = stored.info
    return identity == {"etag": info.etag, "modified": info.modified, "size": info.size}
