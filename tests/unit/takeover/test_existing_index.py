"""The index that was there before sluice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import zstd
from sluice.catalog import entry as leaf
from sluice.catalog import node
from sluice.catalog.client_view import NO_RULES, render_view
from sluice.catalog.entry import NOT_EXTRACTED, CarriedRecord, Entry, Pin, Record
from sluice.concurrency import in_order
from sluice.conda.names import parse_filename
from sluice.errors import Corrupt
from sluice.layout import FROM_PACKAGES, REPODATA, REPODATA_ZST, RUN_EXPORTS, SHARD_INDEX
from sluice.limits import BRAKE_DAYS, REJECT_PROBLEMS_MAX
from sluice.publish.fence import Stamp
from sluice.storage.object_id import ObjectId
from sluice.takeover.existing_index import ExistingIndex, read_existing_index, with_unpatched
from sluice.takeover.foreign_formats import BucketRecord
from tests.support.staging_records import A2, START_MS, SUBDIR, A, B, record_of
from tests.support.subdir_world import World, foreign_repodata

STAMP = Stamp(41, "ab" * 32, "stack")


AT = START_MS + 77


def base_of(world: World) -> ExistingIndex:
    """Read it."""
    return read_existing_index(world.channel, SUBDIR, in_order, BRAKE_DAYS)


def entries_of(world: World, name: str = "alpha") -> dict[str, Entry]:
    """The entries of one name."""
    return base_of(world).entries(name, at=AT)


def record_in(world: World) -> dict[str, Any]:
    """The record of ``A``."""
    entry = entries_of(world)[A]
    assert isinstance(entry, Record)
    return entry.record


def shard_index_of(shards: dict[str, bytes], **info: Any) -> bytes:
    """A shard index as conda-index writes it, beside the shards."""
    told = {"base_url": "", "created_at": "2026-01-01T00:00:00Z", "shards_base_url": "", **info}
    return zstd.compress(msgpack.packb({"info": told, "shards": shards, "version": 1}))


def put_shards(world: World, folder: str = "", **shards: dict[str, Any]) -> dict[str, bytes]:
    """Have shards in the subdir, by package name; their digests."""
    bodies = {name: zstd.compress(msgpack.packb(shard)) for name, shard in shards.items()}
    digests = {name: sha256(body).digest() for name, body in bodies.items()}
    for name, body in bodies.items():
        key = SUBDIR.file_key(f"{folder}{digests[name].hex()}.msgpack.zst")
        world.channel.upload(key, body)
    return digests


def in_a_shard(record: dict[str, Any]) -> dict[str, Any]:
    """A record with binary digests (CEP 16)."""
    binary = {key: bytes.fromhex(record[key]) for key in ("md5", "sha256")}
    return {**record, **binary}


def least(filename: str, **fields: Any) -> dict[str, Any]:
    """A record with what every client needs, and these fields."""
    parts = parse_filename(filename)
    assert parts
    named = {"name": parts.name, "version": parts.version, "build": parts.build}
    return {**named, "build_number": 0, **fields}


def left_out_in(entries: dict[str, Entry]) -> list[str]:
    """The files whose records clients could not read."""
    return [file for file, entry in entries.items() if leaf.is_left_out(entry)]


def put_index(world: World, repodata: dict[str, Any] | bytes, **metadata: str) -> None:
    """Have somebody's index there."""
    body = repodata if isinstance(repodata, bytes) else json.dumps(repodata).encode()
    world.channel.upload(SUBDIR.file_key(REPODATA), body, metadata=metadata)


def test_without_an_index_there_is_nothing_to_start_from() -> None:
    world = World()
    assert base_of(world) == ExistingIndex()
    world.upload(A)
    assert (base_of(world).generation, base_of(world).record_count) == (0, 0)


def test_records_come_with_the_identity_of_their_file_and_are_to_be_read_again() -> None:
    world = World()
    records = world.index_as_others_do(A, A2, B)
    base = base_of(world)
    info = world.channel.objects[SUBDIR.file_key(A)].info
    assert (base.generation, base.record_count, sorted(base.names)) == (0, 3, ["alpha", "beta"])
    assert base.entries("alpha", at=AT)[A] == Record(
        identity=ObjectId.from_info(info),
        extractor=NOT_EXTRACTED,
        record={**records[A], "indexed_timestamp": info.modified * 1000},
    )
    assert sorted(base.entries("alpha", at=AT)) == [A, A2]
    assert base.entries("unknown", at=AT) == {}


def test_a_date_that_is_there_is_kept() -> None:
    world = World()
    world.upload(A)
    put_index(world, foreign_repodata({A: least(A, indexed_timestamp=7)}, subdir="x"))
    assert record_in(world) == least(A, indexed_timestamp=7)


@pytest.mark.parametrize("date", [None, "yesterday", 1.5, True, -1, 2**63, 253_402_207_200_001])
def test_what_is_no_date_counts_as_none(date: object) -> None:
    world = World()
    uploaded = world.upload(A)
    put_index(world, {"packages.conda": {A: least(A, indexed_timestamp=date, md5=None)}})
    assert record_in(world) == least(A, indexed_timestamp=uploaded.modified * 1000, md5=None)


def test_digests_are_told_in_lower_case() -> None:
    world = World()
    world.upload(A)
    put_index(world, {"packages.conda": {A: least(A, md5="AB" * 16, sha256="CD" * 32)}})
    record = record_in(world)
    assert (record["md5"], record["sha256"]) == ("ab" * 16, "cd" * 32)


def test_records_of_files_that_are_gone_are_left_out() -> None:
    world = World()
    world.index_as_others_do(A, B)
    world.remove(A)
    assert list(base_of(world).names) == ["beta"]


def test_what_lies_deeper_than_the_subdir_is_not_its_file() -> None:
    world = World()
    world.channel.upload(SUBDIR.file_key(f"old/{A}"), b"")
    put_index(world, foreign_repodata({A: record_of(A, b"")}, subdir="linux-64"))
    base = base_of(world)
    assert (base.record_count, set(base.listing)) == (0, {REPODATA})


def test_the_generation_is_the_highest_that_any_index_file_carries() -> None:
    for file in (REPODATA, REPODATA_ZST, SHARD_INDEX):
        world = World()
        world.index_as_others_do(A, shards=b"shards")
        body = world.body(file)
        world.channel.upload(SUBDIR.file_key(file), body, metadata=STAMP.metadata)
        assert base_of(world).generation == STAMP.generation


@pytest.mark.parametrize(
    ("file", "body"), [(REPODATA_ZST, zstd.compress(b"{}")), (SHARD_INDEX, shard_index_of({}))]
)
def test_the_generation_counts_even_where_the_index_itself_is_missing(
    file: str, body: bytes
) -> None:
    """Otherwise the next index would be held back as the older one, until its count caught up."""
    world = World()
    world.channel.upload(SUBDIR.file_key(file), body, metadata=STAMP.metadata)
    assert base_of(world).generation == STAMP.generation


def test_an_index_that_is_only_there_compressed_is_taken_over_as_well() -> None:
    world = World()
    world.index_as_others_do(A, A2)
    whole = base_of(world)
    halves = [zstd.compress(half) for half in (world.body()[:100], world.body()[100:])]
    world.channel.upload(
        SUBDIR.file_key(REPODATA_ZST), b"".join(halves)
    )  # two frames, as pzstd does
    world.channel.remove(SUBDIR.file_key(REPODATA))
    assert base_of(world).names == whole.names
    assert base_of(world).record_count == 2


@pytest.mark.parametrize("told", ["", "./", "shards", "./shards/", "shards/old"])
@pytest.mark.parametrize("beside", [None, b"", b'{"info":{"subdir":"linux-64"}}'])
def test_an_index_of_shards_alone_is_taken_over_as_well(told: str, beside: bytes | None) -> None:
    world = World()
    for filename in (A, A2, B):
        world.upload(filename, filename.encode())
    if beside is not None:
        put_index(world, beside)
    records = {name: record_of(name, name.encode()) for name in (A, A2, B)}
    folder = f"{told.removeprefix('./').removesuffix('/')}/".removeprefix("/")
    digests = put_shards(
        world,
        folder,
        alpha={
            "packages": {A2: in_a_shard(records[A2])},
            "packages.conda": {A: in_a_shard(records[A])},
            "removed": ["alpha-0-0.conda"],
        },
        beta={"packages": {}, "packages.conda": {B: in_a_shard(records[B])}},
    )
    relations = {"base": "../conda-forge"}
    body = shard_index_of(digests, shards_base_url=told, channel_relations=relations)
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), body)
    base = base_of(world)
    found = {
        filename: msgspec.json.decode(raw) if isinstance(raw, msgspec.Raw) else raw
        for files in base.names.values()
        for filename, raw in files.items()
    }
    assert found == {**records, "alpha-0-0.conda": None}
    assert (base.record_count, base.shard_index) == (3, body)
    assert base.info == {"channel_relations": relations}


def test_shards_lie_beside_an_index_that_does_not_say_where_they_lie() -> None:
    world = World()
    world.upload(A)
    digests = put_shards(world, alpha={"packages.conda": {A: {"name": "alpha"}}})
    body = zstd.compress(msgpack.packb({"info": {}, "shards": digests}))
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), body)
    assert base_of(world).record_count == 1


def test_of_a_record_in_a_shard_only_digests_are_told_in_hex() -> None:
    world = World()
    uploaded = world.upload(A)
    told = least(A, md5="ab" * 16, sha256=b"\xcd" * 32, signature=b"\x01")
    body = shard_index_of(put_shards(world, alpha={"packages.conda": {A: told}}))
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), body)
    assert record_in(world) == least(
        A,
        indexed_timestamp=uploaded.modified * 1000,
        md5="ab" * 16,
        sha256="cd" * 32,
        signature="AQ==",
    )


def test_a_shard_that_is_missing_was_of_no_use_to_anybody() -> None:
    world = World()
    world.upload(A)
    digests = put_shards(world, alpha={"packages.conda": {A: {"name": "alpha"}}})
    body = shard_index_of({**digests, "beta": b"\1" * 32})
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), body)
    assert list(base_of(world).names) == ["alpha"]


@pytest.mark.parametrize(
    "body",
    [
        b"shards",
        zstd.compress(b"{}"),
        zstd.compress(msgpack.packb({"info": {}})),
        shard_index_of({"alpha": b""}, shards_base_url="https://cdn/shards/"),
        shard_index_of({}, shards_base_url="../shards/"),
        shard_index_of({}, shards_base_url="/shards/"),
        shard_index_of({}, base_url=7),
        zstd.compress(msgpack.packb({"info": {}, "shards": {"alpha": [256]}})),
        zstd.compress(msgpack.packb({"info": {}, "shards": {"alpha": None}})),
    ],
)
def test_shards_alone_that_cannot_be_taken_over_are_left_as_they_are(body: bytes) -> None:
    world = World()
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), body)
    with pytest.raises(Corrupt, match=SHARD_INDEX):
        base_of(world)


@pytest.mark.parametrize(
    "shard",
    [
        {"packages": []},
        {"packages.conda": {A: "text"}},
        {"packages.conda": {A: {"at": msgpack.Timestamp(1)}}},
        {"v3": {"conda": {"alpha-1.0-0": 7}}},
        {"v4": {"conda": {"alpha-1.0-0": {}}}},
    ],
)
def test_a_shard_that_cannot_be_taken_over_keeps_the_whole_index_as_it_is(
    shard: dict[str, Any],
) -> None:
    world = World()
    body = shard_index_of(put_shards(world, alpha=shard))
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), body)
    with pytest.raises(Corrupt, match=r"msgpack\.zst"):
        base_of(world)


def test_the_shard_index_that_is_there_is_kept() -> None:
    world = World()
    world.index_as_others_do(A, shards=b"shards")
    assert base_of(world).shard_index == b"shards"


def test_an_empty_file_is_an_empty_index() -> None:
    world = World()
    world.upload(A)
    put_index(world, b"")
    assert base_of(world).record_count == 0


def test_keys_that_an_index_may_lack_may_be_missing() -> None:
    world = World()
    world.upload(A)
    put_index(world, {"packages.conda": {A: {}}, "extra": 1})
    assert base_of(world).record_count == 1


NOTHING_SAID: list[dict[str, Any]] = [
    {},
    {"removed": {}},
    {"info": None, "packages": None, "removed": None, "v3": None, "v4": None},
    {"v3": {"conda": None, "tar.bz2": {}, "whl": None}},
    {"info": {"base_url": None, "repodata_revisions": None}},
]


@pytest.mark.parametrize("extra", NOTHING_SAID)
def test_an_index_says_nothing_in_many_ways(extra: dict[str, Any]) -> None:
    world = World()
    world.upload(A)
    put_index(world, {**extra, "packages.conda": {A: least(A)}})
    assert base_of(world).record_count == 1
    put_index(world, b"\xef\xbb\xbf" + json.dumps({"packages.conda": {A: least(A)}}).encode())
    assert base_of(world).record_count == 1


@pytest.mark.parametrize("info", [None, {}, {"base_url": None, "shards_base_url": None}])
@pytest.mark.parametrize("extra", NOTHING_SAID)
@pytest.mark.parametrize("written", [bytes, list, bytes.hex, lambda digest: digest.hex().upper()])
def test_shards_say_nothing_in_many_ways_and_have_digests_in_many_forms(
    info: dict[str, Any] | None, extra: dict[str, Any], written: Callable[[bytes], object]
) -> None:
    world = World()
    world.upload(A)
    digests = {"legacy_bz2_md5": b"\x01" * 16, "md5": b"\xab" * 16, "sha256": b"\xcd" * 32}
    record = least(A, **{key: written(digest) for key, digest in digests.items()})
    shard = {key: value for key, value in extra.items() if key != "info"}
    shards = put_shards(world, alpha={**shard, "packages.conda": {A: record}})
    index = {"info": info, "shards": {"alpha": list(shards["alpha"])}}
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), zstd.compress(msgpack.packb(index)))
    entry = entries_of(world)[A]
    assert isinstance(entry, Record)
    assert {key: entry.record[key] for key in digests} == {
        key: digest.hex() for key, digest in digests.items()
    }
    assert leaf.stored_warnings(entry) == ()


@pytest.mark.parametrize(
    "index",
    [
        b"{",
        b"[]",
        b'{"packages": []}',
        b'{"removed": {"a-1-0.conda": 1}}',
        b'{"removed": "a-1-0.conda"}',
        b"<html>403 Forbidden</html>",
        b'{"packages": {"a-1-0.tar.bz2": \xff}}',
        {"info": {"base_url": 7}},
        {"v3": {"conda": []}},
        {"v4": {"conda": {"a-1-0": {}}}},
        {"packages": {}, "V12": []},
        {"v3": {"c": {"a.b": {}}, "b.c": {"a": {}}}},
        {"v3": {"bz2": {"a-1-0.tar": {}}}},
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
        {"sha256": 7},
        {"sha256": "no hex"},
        {"md5": ["x"]},
        {"md5": "ab" * 32},
        {"version": ".post"},
        {"depends": 5},
        {"depends": ["python", None]},
        {"build_number": "x"},
        {"noarch": "java"},
        {"odd": 2**70},
        {"nested": json.loads("[" * 40 + "]" * 40)},
    ],
)
def test_a_record_that_could_not_be_published_is_left_out_to_be_read_from_its_file(
    record: object,
) -> None:
    world = World()
    world.upload(A)
    world.upload(A2)
    put_index(world, {"packages.conda": {A: record}, "packages": {A2: least(A2)}})
    assert base_of(world).record_count == 2
    entries = entries_of(world)
    assert (sorted(entries), left_out_in(entries)) == ([A, A2], [A])
    assert isinstance(entries[A2], Record)


@pytest.mark.parametrize("filename", ["odd.conda", "odd-1.conda", "odd-1-0.zip"])
def test_a_filename_that_makes_the_index_unreadable_for_some_clients_is_left_out(
    filename: str,
) -> None:
    world = World()
    world.upload(filename)
    put_index(world, {"packages.conda": {filename: {}}})
    base = base_of(world)
    assert base.record_count == 1
    assert left_out_in(base.entries("", at=AT)) == [filename]


def test_what_was_removed_is_kept_out_whether_its_file_is_there_or_not() -> None:
    world = World()
    there = world.upload(A)
    world.upload(A2)
    index = foreign_repodata({A2: record_of(A2, b"")}, subdir="linux-64")
    index["removed"] = [A, "alpha-0-0.conda", A2, "alpha-0-0.conda", B, "junk", "a-b.conda", 7]
    put_index(world, index)

    def pin(identity: ObjectId | None) -> Pin:
        reason = "The index that sluice took over lists it under removed."
        return Pin(identity=identity, extractor=NOT_EXTRACTED, at=AT, reason=reason)

    alpha = entries_of(world)
    assert isinstance(alpha.pop(A2), Record)  # what is in the index is not removed
    assert alpha == {A: pin(there), "alpha-0-0.conda": pin(None)}
    assert entries_of(world, "beta") == {B: pin(None)}
    assert (base_of(world).record_count, sorted(base_of(world).names)) == (1, ["alpha", "beta"])


def test_what_the_index_says_of_the_channel_is_kept_but_for_what_is_about_the_file() -> None:
    world = World()
    said = {"arch": "x86_64", "channel_relations": {"base": "../conda-forge"}, "x": [1]}
    of_the_file = {
        "base_url": "",
        "created_at": "now",
        "huge": 2**70,
        "repodata_version": 1,
        "shards_base_url": "./shards/",
        "sluice": {},
        "subdir": "linux-64",
    }
    revisions = {"v3": {"message": "soon", "n_packages": 0, "newest": None}, "v4": {}, "v5": 7}
    put_index(world, {"info": {**said, **of_the_file, "repodata_revisions": revisions}})
    kept = {"v3": {"message": "soon"}, "v4": {}}
    assert base_of(world).info == {**said, "repodata_revisions": kept}


def test_a_base_url_is_kept_where_all_packages_lie_in_the_folder_too() -> None:
    world = World()
    world.index_as_others_do(A, B)
    index = json.loads(world.body())
    index["info"]["base_url"] = "https://cdn/linux-64/"
    put_index(world, index)
    assert base_of(world).info == {"base_url": "https://cdn/linux-64/"}
    world.remove(B)
    with pytest.raises(Corrupt, match=rf"at https://cdn/linux-64/, and 1 of them .*: {B}"):
        base_of(world)


def test_packages_that_lie_elsewhere_are_named_in_order_as_far_as_it_helps() -> None:
    world = World()
    filenames = [f"alpha-1.0-{number}.conda" for number in range(REJECT_PROBLEMS_MAX + 1)]
    records = {filename: record_of(filename, b"") for filename in reversed(filenames)}
    index = foreign_repodata(records, subdir="linux-64")
    put_index(world, {**index, "info": {"base_url": "https://cdn/"}})
    told = re.escape(": " + ", ".join(filenames[:-1])) + "$"
    with pytest.raises(Corrupt, match=told):
        base_of(world)


def test_empty_revisions_are_nothing_to_lose() -> None:
    world = World()
    put_index(world, {"v3": {"conda": {}, "whl": {}}, "v4": {}})
    assert base_of(world).record_count == 0


def test_an_index_deleted_while_it_is_looked_for_is_not_there() -> None:
    world = World()
    world.index_as_others_do(A)
    world.channel.remove(SUBDIR.file_key(REPODATA_ZST))

    def delete(operation: str, key: str) -> None:
        if (operation, key) == ("GetObject", SUBDIR.file_key(REPODATA)):
            world.channel.objects.pop(key, None)

    world.channel.before = delete
    assert base_of(world).record_count == 0


# --- revision 3 (CEP 48) --------------------------------------------------------------------------

WHEEL = {"name": "Alpha", "url": "https://pypi.example/alpha.whl", "sha256": "ab" * 32}


def stem(filename: str) -> str:
    """A package's filename without its extension."""
    return filename.removesuffix(".conda").removesuffix(".tar.bz2")


def test_records_of_revision_3_are_taken_over_as_those_of_their_files() -> None:
    world = World()
    dates = {filename: world.upload(filename).modified * 1000 for filename in (A, A2)}
    v3 = {
        "conda": {stem(A): least(A, flags=["cuda"]), "gone-1-0": {}},
        "tar.bz2": {stem(A2): least(A2, indexed_timestamp=7, depends=["x[when=y]"])},
    }
    put_index(world, {"v3": v3})
    entries = entries_of(world)
    assert {name: entry.record for name, entry in entries.items() if isinstance(entry, Record)} == {
        A: least(A, flags=["cuda"], indexed_timestamp=dates[A]),
        A2: least(A2, indexed_timestamp=7, depends=["x[when=y]"]),
    }
    assert base_of(world).record_count == 2


def test_a_record_stays_in_revision_3_though_nothing_in_it_needs_that() -> None:
    world = World()
    world.upload(A)
    put_index(world, {"v3": {"conda": {stem(A): least(A, indexed_timestamp=7)}}})
    assert record_in(world) == least(A, indexed_timestamp=7, repodata_revision=3)


def test_of_a_record_that_stands_in_both_revisions_that_of_older_clients_is_taken() -> None:
    world = World()
    world.upload(A)
    legacy, new = least(A, indexed_timestamp=7), least(A, indexed_timestamp=8, flags=["cuda"])
    put_index(world, {"packages.conda": {A: legacy}, "v3": {"conda": {stem(A): new}}})
    assert record_in(world) == legacy


def test_records_of_other_buckets_are_kept_as_they_are_wherever_their_files_lie() -> None:
    world = World()
    dated = {"name": "alpha", "indexed_timestamp": 7, "new": [{}]}
    v3 = {"whl": {"alpha-1.0-py3": WHEEL}, "zip": {"alpha-1.0-0": dated}}
    put_index(world, {"v3": v3})

    def kept(bucket: str, record: dict[str, Any]) -> CarriedRecord:
        return CarriedRecord(identity=None, extractor=NOT_EXTRACTED, bucket=bucket, record=record)

    assert entries_of(world) == {
        "alpha-1.0-py3.whl": kept("whl", WHEEL),
        "alpha-1.0-0.zip": kept("zip", dated),
    }
    assert base_of(world).record_count == 2


@pytest.mark.parametrize("record", [{}, {"name": ""}, {"name": "a b"}])
def test_a_kept_record_without_a_name_to_ask_for_is_kept_beside_those_without_one(
    record: dict[str, Any],
) -> None:
    world = World()
    put_index(world, {"v3": {"whl": {"x": {**record, "indexed_timestamp": "?"}}}})
    (entry,) = entries_of(world, "").values()
    assert isinstance(entry, CarriedRecord)
    assert (entry.record, entry.stem("x.whl")) == (record, "x")


@pytest.mark.parametrize(
    ("bucket", "record"),
    [
        ("whl", 7),
        ("whl", {**WHEEL, "name": 7}),
        ("whl", {**WHEEL, "url": 7}),
        ("whl", {**WHEEL, "depends": [None]}),
        ("whl", {**WHEEL, "sha256": "no hex"}),
        ("whl", {**WHEEL, "odd": 2**70}),
        ("zip", {"odd": 2**70}),
        ("zip", []),
    ],
)
def test_a_kept_record_that_could_not_be_published_is_left_out(bucket: str, record: object) -> None:
    world = World()
    put_index(world, {"v3": {bucket: {"x": record}}})
    entries = entries_of(world, "")
    assert base_of(world).record_count == 1
    assert (list(entries), left_out_in(entries)) == ([f"x.{bucket}"], [f"x.{bucket}"])


def test_shards_are_taken_over_with_their_revision_3() -> None:
    world = World()
    world.upload(A)
    binary = {**WHEEL, "sha256": b"\xab" * 32}
    dated = least(A, indexed_timestamp=7, flags=["x"])
    v3 = {"conda": {stem(A): dated}, "whl": {"a-1-py3": binary}}
    body = shard_index_of(put_shards(world, alpha={"v3": v3}))
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), body)
    assert record_in(world) == dated
    kept = CarriedRecord(identity=None, extractor=NOT_EXTRACTED, bucket="whl", record=WHEEL)
    assert entries_of(world)["a-1-py3.whl"] == kept


def test_an_index_of_kept_records_alone_is_an_index() -> None:
    world = World()
    put_index(world, {"v3": {"whl": {"alpha-1.0-py3": WHEEL}}})
    body = shard_index_of(put_shards(world, beta={"packages.conda": {B: {}}}))
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), body)
    (told,) = base_of(world).names["alpha"].values()
    assert isinstance(told, BucketRecord)


# --- run exports (CEP 12, 21) and patches ---------------------------------------------------------


def put_beside(world: World, file: str, content: dict[str, Any] | bytes) -> None:
    """Have another file beside the index."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    world.channel.upload(SUBDIR.file_key(file), body)


def run_exports_of(world: World) -> dict[str, Any]:
    """By filename."""
    entries = entries_of(world).items()
    return {name: entry.run_exports for name, entry in entries if isinstance(entry, Record)}


def test_run_exports_are_taken_over_from_records_and_from_their_file() -> None:
    world = World()
    world.index_as_others_do(A, A2)
    index = json.loads(world.body())
    index["packages.conda"][A]["run_exports"] = {}
    put_index(world, index)
    told = {"run_exports": {"weak": ["alpha"]}}
    put_beside(world, RUN_EXPORTS, {"packages": {A2: told}, "packages.conda": {A: told}})
    assert run_exports_of(world) == {A: {}, A2: {"weak": ["alpha"]}}
    assert "run_exports" not in record_in(world)


@pytest.mark.parametrize("told", [{A: {}}, {A: {"run_exports": {"weak": "x"}}}, {A: 7}, b"{"])
def test_run_exports_that_clients_could_not_read_are_not_known(
    told: dict[str, Any] | bytes,
) -> None:
    world = World()
    world.index_as_others_do(A)
    put_beside(world, RUN_EXPORTS, told if isinstance(told, bytes) else {"packages.conda": told})
    assert run_exports_of(world) == {A: None}


def patched(world: World, **changes: Any) -> None:
    """Have an index of ``A``, ``A2`` and ``B`` that is patched: ``A`` changed, ``A2`` removed."""
    world.index_as_others_do(A, A2, B)
    index = json.loads(world.body())
    put_beside(world, FROM_PACKAGES, index)
    del index["packages"][A2]
    index["removed"] = [A2]
    index["packages.conda"][A] |= {"depends": ["patched"], "indexed_timestamp": 7, **changes}
    put_index(world, index)


def unpatched_entries(world: World) -> dict[str, Entry]:
    """What a channel with a patch in force begins with."""
    base = with_unpatched(base_of(world), world.channel, SUBDIR)
    return {**base.entries("alpha", at=AT), **base.entries("beta", at=AT)}


def test_with_a_patch_in_force_records_are_taken_as_they_were_before_one() -> None:
    world = World()
    patched(world)
    date = {n: world.channel.objects[SUBDIR.file_key(n)].info.modified * 1000 for n in (A2, B)}
    entries = unpatched_entries(world)
    records = {n: entry.record for n, entry in entries.items() if isinstance(entry, Record)}
    assert records == {
        A: {**record_of(A, A.encode()), "indexed_timestamp": 7},
        A2: {**record_of(A2, A2.encode()), "indexed_timestamp": date[A2]},
        B: {**record_of(B, B.encode()), "indexed_timestamp": date[B]},
    }


def test_without_one_records_are_taken_as_clients_see_them() -> None:
    world = World()
    patched(world)
    assert record_in(world)["depends"] == ["patched"]
    assert isinstance(entries_of(world)[A2], Pin)


def test_what_was_removed_and_is_gone_stays_removed() -> None:
    world = World()
    patched(world)
    world.remove(A2)
    assert isinstance(unpatched_entries(world)[A2], Pin)


def test_an_unpatched_record_of_another_artifact_is_of_no_use() -> None:
    world = World()
    patched(world, sha256="0" * 64)
    entry = unpatched_entries(world)[A]
    assert isinstance(entry, Record)
    assert entry.record["depends"] == ["patched"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_unpatched_records_that_cannot_be_read_hold_nothing_back(body: bytes) -> None:
    world = World()
    patched(world)
    put_beside(world, FROM_PACKAGES, body)
    entries = unpatched_entries(world)
    assert entries == {**entries_of(world), **entries_of(world, "beta")}


def test_without_unpatched_records_the_base_is_what_it_was() -> None:
    world = World()
    world.index_as_others_do(A)
    base = base_of(world)
    assert with_unpatched(base, world.channel, SUBDIR) is base


# --- whatever is there ----------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)
KEYS = st.sampled_from(
    [
        "constrains",
        "depends",
        "extra_depends",
        "flags",
        "indexed_timestamp",
        "md5",
        "name",
        "repodata_revision",
        "run_exports",
        "schema_version",
        "sha256",
        "timestamp",
    ]
)
RECORDS = st.dictionaries(
    st.sampled_from([A, A2, stem(A), stem(A2), "alpha-1-py3", "x"]),
    st.dictionaries(KEYS, JSON, max_size=4) | JSON,
    max_size=3,
)
INDEXES = st.fixed_dictionaries(
    {},
    optional={
        "packages": RECORDS,
        "packages.conda": RECORDS,
        "removed": st.lists(st.sampled_from([A, A2, "x"]) | JSON, max_size=2),
        "v3": st.dictionaries(
            st.sampled_from(["conda", "tar.bz2", "whl", "zip"]), RECORDS, max_size=3
        ),
    },
)


@given(INDEXES, RECORDS | JSON, INDEXES)
def test_whatever_is_taken_over_can_be_published(
    index: dict[str, Any], run_exports: object, unpatched: dict[str, Any]
) -> None:
    world = World()
    world.upload(A)
    world.upload(A2)
    put_index(world, index)
    put_beside(world, RUN_EXPORTS, {"packages": run_exports, "packages.conda": run_exports})
    put_beside(world, FROM_PACKAGES, unpatched)
    try:
        base = base_of(world)
    except Corrupt:
        return
    for taken in (base, with_unpatched(base, world.channel, SUBDIR)):
        for name in taken.names:
            entries = taken.entries(name, at=AT)
            rendered = node.render_node(name, entries, at=AT)
            assert leaf.decode_leaf(rendered.leaf_body, what="leaf").entries == entries
            shown = render_view(entries, NO_RULES)
            json.loads(msgspec.json.encode([shown.records, shown.v3, shown.run_exports]))
