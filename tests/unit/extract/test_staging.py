"""The staging log: records under keys of their own, read in bounded batches."""

from __future__ import annotations

import json

import msgspec
import pytest

from sluice.concurrency import in_order
from sluice.errors import Corrupt, TooNew, Unavailable
from sluice.extract import staging
from sluice.extract.staging import StagingBatch, StagingRecord
from testkit.memory_store import MemoryStore
from tests.support.staging_records import SUBDIR, A, B, C, identity_of, indexed, rejected, removed
from tests.support.subdir_world import World

FOLDER = "staging/Conda%2FDefault/linux-64"
EVERY_VERDICT = [indexed(A, b"a"), rejected(B, b"b"), removed(C)]


def read(state: MemoryStore, after: str | None = None) -> StagingBatch:
    """Read one batch."""
    return staging.read_staging_batch(state, SUBDIR, executor=in_order, after=after)


def altered(record: StagingRecord, /, **fields: object) -> bytes:
    """The bytes of a record with other fields."""
    return json.dumps({**json.loads(staging.encode_staging_record(record)), **fields}).encode()


@pytest.mark.parametrize("record", EVERY_VERDICT, ids=["indexed", "rejected", "removed"])
def test_a_record_comes_back_as_it_was_staged(record: StagingRecord) -> None:
    assert staging.decode_staging_record(staging.encode_staging_record(record)) == record


def test_what_was_read_beside_the_index_is_kept() -> None:
    record = msgspec.structs.replace(
        indexed(A), run_exports={"weak": ["a"]}, channeldata={"summary": "Ä"}
    )
    assert staging.decode_staging_record(staging.encode_staging_record(record)) == record


def test_the_order_in_which_a_record_was_put_together_does_not_show() -> None:
    record = indexed(A)
    turned = msgspec.structs.replace(
        record,
        record=dict(reversed(record.record.items())),
        digests_from={"md5": "read", "sha256": "read"},
    )
    assert staging.encode_staging_record(turned) == staging.encode_staging_record(record)


@pytest.mark.parametrize("record", EVERY_VERDICT, ids=["indexed", "rejected", "removed"])
def test_a_record_of_a_newer_format_is_refused_even_if_it_is_otherwise_unknown(
    record: StagingRecord,
) -> None:
    for body in (altered(record, format=3), altered(record, format=3, verdict="new", at=None)):
        with pytest.raises(TooNew, match=r"staging record has format 3, .* up to 2"):
            staging.decode_staging_record(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"format":"1"}',
        b'{"format":1,"verdict":"removed"}',
        altered(removed(A), verdict="guessed"),
        altered(removed(A), filename=7),
        altered(indexed(A), identity=None),
        altered(indexed(A), record=[]),
        staging.encode_staging_record(removed(A))[:-5],
        staging.encode_staging_record(removed(A)).replace(b"alpha", b"\xff\xfe"),
        b'{"format":1,"x":' + b"[" * 100_000,
    ],
)
def test_anything_else_is_corrupt(body: bytes) -> None:
    with pytest.raises(Corrupt, match="not a staging record") as raised:
        staging.decode_staging_record(body)
    assert not isinstance(raised.value, TooNew)


def test_an_empty_log_is_an_empty_batch() -> None:
    assert read(MemoryStore()) == StagingBatch([], [], [], 0, None)


def test_a_batch_holds_every_record_in_key_order_and_other_subdirs_stay_out() -> None:
    world = World()
    world.stage(removed(B), removed(A), removed(A, at=2))
    staging.write_staging_record(
        world.state, type(SUBDIR)(SUBDIR.channel, "noarch"), removed(A), unique_id="1"
    )
    assert read(world.state) == StagingBatch(
        records=[removed(A), removed(A, at=2), removed(B)],
        consumed=[
            f"{FOLDER}/{A}/{2:032x}.json",
            f"{FOLDER}/{A}/{3:032x}.json",
            f"{FOLDER}/{B}/{1:032x}.json",
        ],
        unreadable=[],
        too_new=0,
        resume_after=None,
    )


def test_unreadable_records_are_named_and_too_new_ones_only_counted() -> None:
    world = World()
    world.stage(removed(A))
    world.state.upload(f"{FOLDER}/{B}/1.json", b"garbage")
    world.state.upload(f"{FOLDER}/{C}/1.json", altered(removed(C), format=3))
    assert read(world.state) == StagingBatch(
        records=[removed(A)],
        consumed=[f"{FOLDER}/{A}/{1:032x}.json"],
        unreadable=[(f"{FOLDER}/{B}/1.json", b"garbage")],
        too_new=1,
        resume_after=None,
    )


def test_a_record_that_another_merge_deleted_meanwhile_is_left_out() -> None:
    world = World()
    world.stage(removed(A), removed(B))
    gone = f"{FOLDER}/{A}/{1:032x}.json"

    def delete(operation: str, key: str) -> None:
        if (operation, key) == ("GetObject", gone):
            world.state.objects.pop(key, None)

    world.state.before = delete
    assert read(world.state).records == [removed(B)]


def test_a_batch_is_bounded_by_the_number_of_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MERGE_BATCH_RECORDS_MAX", 2)
    world = World(page_size=1)
    world.stage(removed(A), removed(B), removed(C))
    first = read(world.state)
    assert first.records == [removed(A), removed(B)]
    assert first.resume_after == first.consumed[-1]
    second = read(world.state, after=first.resume_after)
    assert (second.records, second.resume_after) == ([removed(C)], None)


def test_a_log_of_exactly_one_batch_has_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MERGE_BATCH_RECORDS_MAX", 2)
    world = World()
    world.stage(removed(A), removed(B))
    assert read(world.state).resume_after is None


def test_a_batch_is_bounded_by_bytes_but_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(staging.encode_staging_record(removed(A)))
    monkeypatch.setattr(staging, "MERGE_BATCH_BYTES_MAX", size - 1)
    world = World()
    world.stage(removed(A), removed(B))
    first = read(world.state)
    assert first.records == [removed(A)]
    assert read(world.state, after=first.resume_after).records == [removed(B)]


def test_a_batch_may_be_exactly_as_large_as_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.stage(removed(A), removed(B))
    size = sum(len(stored.body) for stored in world.state.objects.values())
    monkeypatch.setattr(staging, "MERGE_BATCH_BYTES_MAX", size)
    assert read(world.state).resume_after is None


def test_what_nobody_can_read_is_moved_out_of_the_log_never_deleted() -> None:
    state = MemoryStore()
    keys = [f"{FOLDER}/{A}/1.json", f"{FOLDER}/{B}/1.json"]
    for key in keys:
        state.upload(key, key.encode())
    staging.set_aside_unreadable(state, SUBDIR, [(key, key.encode()) for key in keys])
    assert {key: stored.body for key, stored in state.objects.items()} == {
        key.replace("staging/", "unreadable/"): key.encode() for key in keys
    }


def test_what_could_not_be_set_aside_stays_in_the_log() -> None:
    state = MemoryStore()
    key = f"{FOLDER}/{A}/1.json"
    state.upload(key, b"garbage")

    def refuse(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise Unavailable

    state.before = refuse
    with pytest.raises(Unavailable):
        staging.set_aside_unreadable(state, SUBDIR, [(key, b"garbage")])
    assert state.keys() == [key]


def test_setting_nothing_aside_asks_for_nothing() -> None:
    state = MemoryStore()
    staging.set_aside_unreadable(state, SUBDIR, [])
    assert state.requests == []


def test_the_identity_tells_apart_uploads_of_the_same_content() -> None:
    assert identity_of(b"a", modified=1) != identity_of(b"a", modified=2)
    assert identity_of(b"a", modified=1) != identity_of(b"b", modified=1)


def test_a_record_that_the_catalog_could_not_work_with_is_unreadable() -> None:
    whole = staging.encode_staging_record(indexed(A))
    assert staging.decode_staging_record(whole) == indexed(A)
    plain = msgspec.json.decode(whole)
    del plain["record"]["sha256"]
    with pytest.raises(Corrupt, match="without its sha256"):
        staging.decode_staging_record(msgspec.json.encode(plain))
