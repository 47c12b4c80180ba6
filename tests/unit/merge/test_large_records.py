"""The large records of one subdir have a bound together, and all other records do not feel it."""

from __future__ import annotations

import msgspec
import pytest

from sluice.catalog.entry import NOT_EXTRACTED, Entry, Record, Reject, large_record_bytes
from sluice.limits import LARGE_RECORD_BYTES_MIN
from sluice.merge import generation_writer
from sluice.merge.large_records import CODE, limit_large_records
from tests.support.staging_records import A2, START_MS, A, B, C, identity_of, indexed, record_of
from tests.support.subdir_world import World

AT = START_MS + 5
SIZE = 2 * LARGE_RECORD_BYTES_MIN


def record(filename: str, size: int, body: bytes = b"", *, taken_over: bool = False) -> Record:
    """An entry whose record has so many bytes as JSON."""
    fields = {**record_of(filename, body), "indexed_timestamp": AT, "license": ""}
    fields["license"] = "x" * (size - len(msgspec.json.encode(fields)))
    return Record(
        identity=identity_of(body),
        extractor=1,
        record=fields,
        digests_from={} if taken_over else {"sha256": "read", "md5": "read"},
    )


def test_only_records_from_the_limit_on_are_large() -> None:
    sizes = (LARGE_RECORD_BYTES_MIN - 1, LARGE_RECORD_BYTES_MIN)
    assert [large_record_bytes(record(A, size)) for size in sizes] == [0, LARGE_RECORD_BYTES_MIN]
    assert large_record_bytes(None) == 0


@pytest.mark.parametrize("room", [0, -7, SIZE - 1, SIZE, 2 * SIZE - 1, 2 * SIZE])
def test_new_large_records_take_room_until_there_is_none_and_small_ones_take_none(
    room: int,
) -> None:
    new: dict[str, Entry] = {A: record(A, SIZE), A2: record(A2, 700), B: record(B, SIZE)}
    entries, left = limit_large_records({}, new, room=room, at=AT)
    kept = [filename for filename, entry in entries.items() if isinstance(entry, Record)]
    fitting = max(room, 0) // SIZE
    assert kept == [*[A][:fitting], A2, *[B][: fitting - 1 if fitting else 0]]
    assert left == room - SIZE * fitting
    for filename, entry in entries.items():
        if isinstance(entry, Reject):
            assert (entry.code, entry.extractor, entry.at) == (CODE, NOT_EXTRACTED, AT)
            assert entry.identity == new[filename].identity
            assert f"{SIZE} bytes" in entry.sentence


def test_what_leaves_the_index_makes_room_for_others_of_its_name() -> None:
    before: dict[str, Entry] = {C: record(C, SIZE)}
    assert limit_large_records(before, {}, room=0, at=AT) == ({}, SIZE)
    after: dict[str, Entry] = {A: record(A, SIZE)}
    assert limit_large_records(before, after, room=0, at=AT) == (after, 0)


@pytest.mark.parametrize(("size", "is_kept"), [(SIZE - 1, True), (SIZE, True), (SIZE + 1, False)])
def test_without_room_a_record_may_be_replaced_by_one_of_at_most_its_size(
    size: int, *, is_kept: bool
) -> None:
    """Also where records of another index were taken over, which may be more than there is room."""
    before: dict[str, Entry] = {A: record(A, SIZE, b"1", taken_over=True), B: record(B, SIZE)}
    after: dict[str, Entry] = {**before, A: record(A, size, b"2")}
    entries, _ = limit_large_records(before, after, room=-5 * SIZE, at=AT)
    assert isinstance(entries[A], Record) is is_kept
    assert entries[B] is before[B]


def test_a_flood_of_large_records_fills_its_room_and_everything_else_is_indexed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(generation_writer, "LARGE_RECORDS_BYTES_MAX", 3 * SIZE)
    world = World()

    def add_large(filename: str) -> None:
        body = filename.encode()
        verdict = indexed(filename, body, identity=world.upload(filename, body), at=world.now_ms)
        verdict.record["depends"] = ["x" * SIZE]
        world.stage(verdict)

    for number in range(5):
        add_large(f"flood-{number}-0.conda")
        world.merge()
    world.add(A)
    world.merge()
    first = [f"flood-{number}-0.conda" for number in range(2)]
    assert world.published().keys() == {A, *first}
    assert world.tree().large_bytes <= 3 * SIZE
    assert {reject["code"] for reject in world.rejects()} == {CODE}
    for filename in first:
        world.drop(filename)
    world.merge()
    assert world.tree().large_bytes == 0
    add_large(B)
    world.merge()
    assert world.published().keys() == {A, B}
