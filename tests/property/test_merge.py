"""A merge depends on what is there, not on how it came to be known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalog.entry import Entry, Record, Reject
from sluice.extract.staging import StagingRecord
from sluice.storage.object_id import ObjectId
from tests.support.staging_records import A2, A, B, C, indexed, record_of, rejected, removed
from tests.support.subdir_world import Records, World

FILES = [A, A2, B, C, "Not A Name.conda"]
BODIES = [b"one", b"two", b"corrupt"]


@dataclass(frozen=True)
class Step:
    """Somebody uploads (``body``) or deletes (``None``) a file; what extracts see is to come."""

    filename: str
    body: bytes | None


STEPS = st.lists(
    st.builds(Step, st.sampled_from(FILES), st.sampled_from([*BODIES, None])), max_size=14
)
EXTRACTORS = st.lists(st.sampled_from([1, 1, 1, 2]), min_size=14, max_size=14)


def verdict(filename: str, body: bytes, identity: ObjectId, *, extractor: int) -> StagingRecord:
    """What an extractor says of an object: always the same."""
    at = identity.modified * 1000
    if body == b"corrupt" or " " in filename:
        return rejected(filename, body, identity=identity, at=at, extractor=extractor)
    return indexed(filename, body, identity=identity, at=at, extractor=extractor)


def play(world: World, steps: Iterable[Step], extractors: Iterable[int]) -> list[StagingRecord]:
    """Let the steps happen; the staging records that extracts in time would write."""
    records = []
    for step, extractor in zip(steps, extractors, strict=False):
        key = world.subdir.file_key(step.filename)
        if step.body is not None:
            identity = world.upload(step.filename, step.body)
            records.append(verdict(step.filename, step.body, identity, extractor=extractor))
        else:
            world.channel.objects.pop(key, None)
            records.append(removed(step.filename, at=world.now_ms, extractor=extractor))
    return records


def twin(world: World) -> World:
    """Another world with the same objects at the same time."""
    other = World()
    other.now_ms = world.now_ms
    other.channel.objects = dict(world.channel.objects)
    other.state.objects = dict(world.state.objects)
    return other


def undated(entries: dict[str, Entry]) -> dict[str, Any]:
    """Entries without the times of commits."""
    plain: dict[str, Any] = {}
    for filename, entry in entries.items():
        if isinstance(entry, Record):
            record = {key: v for key, v in entry.record.items() if key != "indexed_timestamp"}
            plain[filename] = msgspec.structs.replace(entry, record=record)
        else:
            assert isinstance(entry, Reject)
            plain[filename] = msgspec.structs.replace(entry, at=0)
    return plain


def good(world: World) -> Records:
    """What a full index of the bucket would hold, without dates."""
    bodies = {
        filename: world.channel.objects[key].body
        for filename in FILES
        if (key := world.subdir.file_key(filename)) in world.channel.objects
    }
    return {
        filename: record_of(filename, body)
        for filename, body in bodies.items()
        if body != b"corrupt" and " " not in filename
    }


@given(STEPS, EXTRACTORS, st.data())
def test_neither_the_order_nor_the_number_of_records_counts(
    steps: list[Step], extractors: list[int], data: st.DataObject
) -> None:
    world = World()
    records = play(world, steps, extractors)
    other = twin(world)
    world.stage(*records)
    again = data.draw(st.lists(st.sampled_from(records), max_size=6)) if records else []
    other.stage(*data.draw(st.permutations([*records, *again])))
    world.merge()
    other.merge()
    assert other.entries() == world.entries()
    assert other.index_files() == world.index_files()


@given(STEPS, EXTRACTORS, st.data())
def test_it_does_not_count_how_records_are_split_over_merges(
    steps: list[Step], extractors: list[int], data: st.DataObject
) -> None:
    world = World()
    records = play(world, steps, extractors)
    other = twin(world)
    world.stage(*records)
    world.merge()
    for record in data.draw(st.permutations(records)):
        other.stage(record)
        if data.draw(st.booleans()):
            other.merge()
    other.merge()
    assert undated(other.entries()) == undated(world.entries())


@given(STEPS, EXTRACTORS)
def test_merging_the_same_again_moves_nothing_but_the_epoch(
    steps: list[Step], extractors: list[int]
) -> None:
    world = World()
    records = play(world, steps, extractors)
    world.stage(*records)
    world.merge()
    before, files = world.head(), world.index_files()
    world.stage(*records)
    world.merge()
    after = world.head()
    assert world.index_files() == files
    assert world.staged() == []
    assert after == msgspec.structs.replace(
        before, epoch=before.epoch + bool(records and before.writer), writer=after.writer
    ), "only a subdir that nobody knows has no head to move"


@given(st.lists(st.tuples(STEPS, EXTRACTORS, st.booleans()), min_size=1, max_size=4))
def test_after_any_history_the_index_is_what_a_full_index_of_the_bucket_would_be(
    history: list[tuple[list[Step], list[int], bool]],
) -> None:
    world = World()
    waiting: list[StagingRecord] = []
    for steps, extractors, late in history:
        records = play(world, steps, extractors)
        if late:
            waiting += records
        else:
            world.stage(*records)
        world.merge()
    world.stage(*waiting)
    world.merge()
    if world.tree().public:
        found = world.published()
        undated_records = {
            filename: {key: v for key, v in record.items() if key != "indexed_timestamp"}
            for filename, record in found.items()
        }
        assert undated_records == good(world)
        assert all(record["indexed_timestamp"] <= world.now_ms for record in found.values())
    else:
        assert good(world) == {}


@given(n=st.integers(0, 30), dated=st.booleans())
def test_one_upload_into_an_index_of_n_publishes_n_plus_one(*, n: int, dated: bool) -> None:
    world = World()
    theirs = world.index_as_others_do(*(f"p{i}-1-0.tar.bz2" for i in range(n)))
    if dated:
        theirs = {name: {**record, "indexed_timestamp": 7} for name, record in theirs.items()}
        put_index(world, theirs)
    world.add(A)
    world.merge()
    published = world.published()
    assert len(published) == n + 1
    for filename, record in theirs.items():
        modified = world.channel.objects[world.subdir.file_key(filename)].info.modified
        assert published[filename] == {"indexed_timestamp": modified * 1000, **record}


def put_index(world: World, records: Records) -> None:
    """Have somebody's index there."""
    body = msgspec.json.encode({"packages": records, "packages.conda": {}})
    world.channel.upload(world.subdir.file_key("repodata.json"), body)
