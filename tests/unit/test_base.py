"""The index that was there before sluice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice import zstd
from sluice.base import Base, read_base
from sluice.catalog.leaf import NOT_EXTRACTED, Record
from sluice.errors import Corrupt
from sluice.identity import Identity
from sluice.keys import REPODATA, REPODATA_ZST, SHARD_INDEX
from sluice.publish.fence import Stamp
from tests.support.staged import A2, SUBDIR, A, B, World, foreign_repodata, record_of

STAMP = Stamp(41, "ab" * 32, "stack")


def base_of(world: World) -> Base:
    """Read it."""
    return read_base(world.channel, SUBDIR)


def put_index(world: World, repodata: dict[str, Any] | bytes, **metadata: str) -> None:
    """Have somebody's index there."""
    body = repodata if isinstance(repodata, bytes) else json.dumps(repodata).encode()
    world.channel.upload(SUBDIR.public(REPODATA), body, metadata=metadata)


def test_without_an_index_there_is_nothing_to_start_from() -> None:
    world = World()
    assert base_of(world) == Base()
    world.upload(A)
    assert (base_of(world).generation, base_of(world).records) == (0, 0)


def test_records_come_with_the_identity_of_their_file_and_are_to_be_read_again() -> None:
    world = World()
    records = world.index_as_others_do(A, A2, B)
    base = base_of(world)
    info = world.channel.objects[SUBDIR.public(A)].info
    assert (base.generation, base.records, sorted(base.names)) == (0, 3, ["alpha", "beta"])
    assert base.entries("alpha")[A] == Record(
        identity=Identity.of(info),
        extractor=NOT_EXTRACTED,
        record={**records[A], "indexed_timestamp": info.modified * 1000},
    )
    assert sorted(base.entries("alpha")) == [A, A2]
    assert base.entries("unknown") == {}


def test_a_date_that_is_there_is_kept() -> None:
    world = World()
    world.upload(A)
    put_index(world, foreign_repodata({A: {"name": "alpha", "indexed_timestamp": 7}}, subdir="x"))
    assert base_of(world).entries("alpha")[A].record == {"name": "alpha", "indexed_timestamp": 7}


def test_a_date_of_null_is_none() -> None:
    world = World()
    uploaded = world.upload(A)
    put_index(world, {"packages.conda": {A: {"indexed_timestamp": None, "md5": None}}})
    record = base_of(world).entries("alpha")[A].record
    assert record == {"indexed_timestamp": uploaded.modified * 1000, "md5": None}


def test_records_of_files_that_are_gone_are_left_out() -> None:
    world = World()
    world.index_as_others_do(A, B)
    world.remove(A)
    assert list(base_of(world).names) == ["beta"]


def test_what_lies_deeper_than_the_subdir_is_not_its_file() -> None:
    world = World()
    world.channel.upload(SUBDIR.public(f"old/{A}"), b"")
    put_index(world, foreign_repodata({A: record_of(A, b"")}, subdir="linux-64"))
    base = base_of(world)
    assert (base.records, set(base.listing)) == (0, {REPODATA})


def test_the_generation_is_the_highest_that_any_index_file_carries() -> None:
    for file in (REPODATA, REPODATA_ZST, SHARD_INDEX):
        world = World()
        world.index_as_others_do(A, shards=b"shards")
        body = world.body(file)
        world.channel.upload(SUBDIR.public(file), body, metadata=STAMP.metadata)
        assert base_of(world).generation == STAMP.generation


@pytest.mark.parametrize("file", [REPODATA_ZST, SHARD_INDEX])
def test_the_generation_counts_even_where_the_index_itself_is_missing(file: str) -> None:
    """Otherwise the next index would be held back as the older one, until its count caught up."""
    world = World()
    world.channel.upload(SUBDIR.public(file), zstd.compress(b"{}"), metadata=STAMP.metadata)
    assert base_of(world).generation == STAMP.generation


def test_an_index_that_is_only_there_compressed_is_taken_over_as_well() -> None:
    world = World()
    world.index_as_others_do(A, A2)
    whole = base_of(world)
    halves = [zstd.compress(half) for half in (world.body()[:100], world.body()[100:])]
    world.channel.upload(SUBDIR.public(REPODATA_ZST), b"".join(halves))  # two frames, as pzstd does
    world.channel.remove(SUBDIR.public(REPODATA))
    assert base_of(world).names == whole.names
    assert base_of(world).records == 2


def test_another_tools_shards_without_an_index_beside_them_are_left_as_they_are() -> None:
    world = World()
    world.channel.upload(SUBDIR.public(SHARD_INDEX), b"shards")
    with pytest.raises(Corrupt, match="an index of shards alone"):
        base_of(world)


def test_the_shard_index_that_is_there_is_kept() -> None:
    world = World()
    world.index_as_others_do(A, shards=b"shards")
    assert base_of(world).shard_index == b"shards"


def test_an_empty_file_is_an_empty_index() -> None:
    world = World()
    world.upload(A)
    put_index(world, b"")
    assert base_of(world).records == 0


def test_keys_that_an_index_may_lack_may_be_missing() -> None:
    world = World()
    world.upload(A)
    put_index(world, {"packages.conda": {A: {}}, "extra": 1})
    assert base_of(world).records == 1


@pytest.mark.parametrize(
    "index",
    [
        b"{",
        b"[]",
        b'{"packages": []}',
        b"<html>403 Forbidden</html>",
        b'{"packages": {"a-1-0.tar.bz2": \xff}}',
        {"info": {"base_url": "https://cdn/"}, "packages": {}},
        {"v3": {"conda": {"a-1-0": {}}}},
    ],
)
def test_an_index_that_cannot_be_taken_over_whole_is_left_as_it_is(
    index: dict[str, Any] | bytes,
) -> None:
    world = World()
    put_index(world, index)
    with pytest.raises(Corrupt):
        base_of(world)


@pytest.mark.parametrize(
    "record",
    [
        None,
        "text",
        [],
        {"indexed_timestamp": "yesterday"},
        {"indexed_timestamp": 1.5},
        {"sha256": 7},
        {"sha256": "no hex"},
        {"md5": ["x"]},
        {"size": 2**70},
    ],
)
def test_a_record_that_could_not_be_published_is_corrupt_and_named(record: object) -> None:
    world = World()
    world.upload(A)
    put_index(world, {"packages.conda": {A: record}})
    with pytest.raises(Corrupt, match=A):
        base_of(world).entries("alpha")


def test_empty_revisions_are_nothing_to_lose() -> None:
    world = World()
    put_index(world, {"v3": {"conda": {}}})
    assert base_of(world).records == 0


def test_an_index_deleted_while_it_is_looked_for_is_not_there() -> None:
    world = World()
    world.index_as_others_do(A)
    world.channel.remove(SUBDIR.public(REPODATA_ZST))

    def delete(operation: str, key: str) -> None:
        if (operation, key) == ("GetObject", SUBDIR.public(REPODATA)):
            world.channel.objects.pop(key, None)

    world.channel.before = delete
    assert base_of(world).records == 0
