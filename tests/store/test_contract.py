"""What ``sluice.storage.object_store.ObjectStore`` promises, held against every implementation."""

from __future__ import annotations

from hashlib import sha256
from random import Random

import pytest

from sluice.errors import Archived, Changed, TooLate, Unavailable
from sluice.limits import MIB
from sluice.storage.object_store import (
    ETag,
    ObjectHeaders,
    ObjectInfo,
    ObjectStore,
    SharedRange,
)
from tests.store.conftest import World

RANDOM = Random(7)  # noqa: S311
JSON = ObjectHeaders("application/json")
NONE = ETag('"00000000000000000000000000000000"')


def head(store: ObjectStore, key: str) -> ObjectInfo:
    info = store.head(key)
    assert info is not None
    return info


def read(store: ObjectStore, key: str, *, if_match: ETag | None = None) -> bytes | None:
    with store.open(key, if_match=if_match) as found:
        return b"".join(found.chunks) if found else None


def keys(store: ObjectStore, prefix: str, **options: str) -> list[str]:
    return [info.key for info in store.list(prefix, **options)]


# --- absence ----------------------------------------------------------------------------------


def test_a_key_that_is_not_there_is_none(store: ObjectStore) -> None:
    assert store.head("a") is None
    assert store.get("a") is None
    assert store.get_range("a", 0, 1) is None
    assert read(store, "a") is None
    assert keys(store, "a") == []


def test_under_a_condition_a_key_that_is_not_there_has_changed(store: ObjectStore) -> None:
    with pytest.raises(Changed):
        read(store, "a", if_match=NONE)
    with pytest.raises(Changed):
        store.read_range("a", 0, 1, if_match=NONE)


# --- reading ----------------------------------------------------------------------------------


def test_what_was_put_is_read_back_whole(store: ObjectStore) -> None:
    store.put("a", b"body", ObjectHeaders("text/plain", "no-cache", {"generation": "7"}))
    stored = store.get("a")
    assert stored is not None
    assert stored.body == b"body"
    assert stored.info.metadata == {"generation": "7"}
    assert stored.info.size == 4
    assert read(store, "a") == b"body"


def test_head_get_and_open_describe_one_version_alike(world: World) -> None:
    world.upload("a", b"body", metadata={"Package-SHA256": "ab"}, checksum=True)
    info = head(world.store, "a")
    stored = world.store.get("a")
    with world.store.open("a", if_match=info.etag) as found:
        assert stored is not None
        assert found is not None
        assert info == stored.info == found.info
    assert info.metadata == {"package-sha256": "ab"}


def test_the_listing_agrees_with_head_on_identity(world: World) -> None:
    world.upload("a", b"body", metadata={"x": "y"})
    info = head(world.store, "a")
    assert list(world.store.list("a")) == [
        ObjectInfo(key="a", etag=info.etag, size=4, modified=info.modified)
    ]


def test_a_sha256_that_s3_computed_over_the_whole_object_is_handed_on(world: World) -> None:
    world.upload("a", b"body", checksum=True)
    digest = sha256(b"body").hexdigest() if world.gives_checksum_type else None
    assert head(world.store, "a").sha256 == digest


def test_an_object_without_a_sha256_has_none(world: World) -> None:
    world.upload("a", b"body")
    assert head(world.store, "a").sha256 is None


def test_an_etag_is_quoted_and_follows_from_the_content(store: ObjectStore) -> None:
    store.put("a", b"one", JSON)
    first = head(store, "a").etag
    store.put("a", b"two", JSON)
    second = head(store, "a").etag
    store.put("a", b"one", JSON)
    assert first == '"f97c5d29941bfb1b2fdab0874906ab82"'
    assert second != first
    assert head(store, "a").etag == first


def test_a_range_is_exactly_those_bytes(store: ObjectStore) -> None:
    store.put("a", b"0123456789", JSON)
    etag = head(store, "a").etag
    assert store.read_range("a", 0, 1, if_match=etag) == b"0"
    assert store.read_range("a", 3, 4, if_match=etag) == b"3456"
    assert store.read_range("a", 9, 1, if_match=etag) == b"9"


def test_a_range_of_an_immutable_object_ends_where_the_object_does(store: ObjectStore) -> None:
    store.put("a", b"0123456789", JSON)
    ranges = {(0, 1): b"0", (3, 4): b"3456", (0, 10): b"0123456789", (8, 3): b"89", (10, 1): b""}
    assert {at: store.get_range("a", *at) for at in ranges} == ranges


@pytest.mark.parametrize(("start", "length"), [(8, 3), (10, 1), (20, 5)])
def test_a_range_that_cannot_be_served_whole_is_unavailable(
    store: ObjectStore, start: int, length: int
) -> None:
    store.put("a", b"0123456789", JSON)
    with pytest.raises(Unavailable):
        store.read_range("a", start, length, if_match=head(store, "a").etag)


def test_another_version_than_the_expected_one_has_changed(store: ObjectStore) -> None:
    store.put("a", b"one", JSON)
    old = head(store, "a").etag
    store.put("a", b"two", JSON)
    with pytest.raises(Changed):
        read(store, "a", if_match=old)
    with pytest.raises(Changed):
        store.read_range("a", 0, 1, if_match=old)


def test_an_object_that_is_overwritten_while_it_is_streamed_stays_what_it_was(
    store: ObjectStore,
) -> None:
    store.put("a", b"one", JSON)
    with store.open("a") as found:
        store.put("a", b"two", JSON)
        assert found is not None
        assert b"".join(found.chunks) == b"one"


def test_a_stream_may_be_left_unread(store: ObjectStore) -> None:
    store.put("a", bytes(3_000_000), JSON)
    with store.open("a") as found:
        assert found is not None
        assert found.info.size == 3_000_000


def test_an_archived_object_is_described_but_not_read(world: World) -> None:
    if not world.archives:
        return
    world.upload("a", b"body", archived=True)
    assert head(world.store, "a").size == 4
    assert head(world.store, "a").archive == "GLACIER"
    with pytest.raises(Archived):
        world.store.get("a")
    with pytest.raises(Archived):
        read(world.store, "a", if_match=head(world.store, "a").etag)


def test_a_listing_shows_which_objects_are_archived(world: World) -> None:
    for key, archived in (("a", False), ("b", True), ("c", False), ("d", True)):
        world.upload(key, b"body", archived=archived)
    archives = {info.key: info.archive for info in world.store.list("")}
    assert {key: archives[key] for key in "abcd"} == {
        "a": None,
        "b": "GLACIER",
        "c": None,
        "d": "GLACIER",
    }


def test_an_object_that_was_copied_out_of_the_archive_is_read_again(world: World) -> None:
    world.upload("a", b"body", archived=True)
    archived = head(world.store, "a")
    world.upload("a", b"body")
    info = head(world.store, "a")
    assert (info.archive, info.etag) == (None, archived.etag)
    assert [listed.archive for listed in world.store.list("a")] == [None]
    assert read(world.store, "a") == b"body"


# --- writing under a condition ----------------------------------------------------------------


def test_over_nothing_only_the_first_write_lands(store: ObjectStore) -> None:
    won = store.put_if("a", b"one", JSON, expected=None)
    lost = store.put_if("a", b"two", JSON, expected=None)
    assert won == head(store, "a").etag
    assert lost is None
    assert read(store, "a") == b"one"


def test_over_the_expected_version_a_write_lands_and_gives_the_new_etag(
    store: ObjectStore,
) -> None:
    first = store.put_if("a", b"one", JSON, expected=None)
    second = store.put_if(
        "a", b"two", ObjectHeaders("text/plain", None, {"k": "v"}), expected=first
    )
    info = head(store, "a")
    assert second == info.etag != first
    assert info.metadata == {"k": "v"}
    assert read(store, "a") == b"two"


def test_over_another_version_nothing_is_written(store: ObjectStore) -> None:
    store.put("a", b"one", JSON)
    assert store.put_if("a", b"two", JSON, expected=NONE) is None
    assert read(store, "a") == b"one"


def test_over_a_version_that_is_gone_nothing_is_written(store: ObjectStore) -> None:
    store.put("a", b"one", JSON)
    etag = head(store, "a").etag
    store.delete(["a"])
    assert store.put_if("a", b"two", JSON, expected=etag) is None
    assert store.head("a") is None


def test_bytes_that_come_back_match_an_old_condition(store: ObjectStore) -> None:
    """No store protects against this: whoever swaps must see to it that bytes never recur."""
    store.put("a", b"one", JSON)
    old = head(store, "a").etag
    store.put("a", b"two", JSON)
    store.put("a", b"one", JSON)
    assert store.put_if("a", b"three", JSON, expected=old) is not None


def test_nobody_sees_a_prepared_write_before_it_is_completed(store: ObjectStore) -> None:
    prepared = store.prepare_put("a", b"one", JSON, expected=None)
    assert store.head("a") is None
    etag = prepared.complete()
    assert etag == head(store, "a").etag
    aborted = store.prepare_put("a", b"two", JSON, expected=etag)
    aborted.abort()
    assert read(store, "a") == b"one"


def test_a_prepared_write_is_lost_where_another_came_first(store: ObjectStore) -> None:
    prepared = store.prepare_put("a", b"one", JSON, expected=None)
    store.put("a", b"other", JSON)
    assert prepared.complete() is None
    assert read(store, "a") == b"other"


def test_before_its_deadline_a_write_lands(store: ObjectStore) -> None:
    deadline = store.now_ms() + 60_000
    etag = store.put_if("a", b"one", JSON, expected=None, not_after_ms=deadline)
    assert etag == head(store, "a").etag
    assert read(store, "a") == b"one"


def test_behind_its_deadline_a_write_does_not_land(store: ObjectStore) -> None:
    etag = store.put_if("a", b"one", JSON, expected=None)
    with pytest.raises(TooLate):
        store.put_if("a", b"two", JSON, expected=etag, not_after_ms=store.now_ms() - 1)
    assert read(store, "a") == b"one"


def test_who_falls_asleep_on_the_way_does_not_write_behind_the_deadline(world: World) -> None:
    store = world.store
    deadline = store.now_ms() + 60_000
    prepared = store.prepare_put("a", b"one", JSON, expected=None)
    world.sleep(3600)
    with pytest.raises(TooLate):
        prepared.complete(not_after_ms=deadline)
    assert store.head("a") is None


def test_the_clock_of_a_store_goes_on_while_the_machine_sleeps(world: World) -> None:
    before = world.store.now_ms()
    world.sleep(3600)
    assert 3600_000 <= world.store.now_ms() - before < 3660_000


@pytest.mark.usefixtures("small_parts")
def test_behind_its_deadline_what_is_written_in_parts_does_not_land(world: World) -> None:
    store, body = world.store, bytes(range(256)) * 23_000
    deadline = store.now_ms() + 60_000
    prepared = store.prepare_put("a", body, JSON, expected=None)
    world.sleep(3600)
    with pytest.raises(TooLate):
        prepared.complete(not_after_ms=deadline)
    assert store.head("a") is None


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.storage.s3_conditional_put.SINGLE_PUT_BYTES_MAX", 5 * 2**20)
    monkeypatch.setattr("sluice.storage.part_plan.PART_BYTES", 5 * 2**20)
    monkeypatch.setattr("sluice.storage.part_plan.COPIED_PART_BYTES", 6 * 2**20)
    monkeypatch.setattr("sluice.storage.part_plan.COPIED_BYTES_MIN", 5 * 2**20)


@pytest.mark.usefixtures("small_parts")
def test_what_is_written_in_parts_is_one_object_under_the_same_conditions(world: World) -> None:
    store, body = world.store, bytes(range(256)) * 23_000
    headers = ObjectHeaders("text/plain", "no-cache", {"generation": "7"})
    first = store.put_if("a", body, headers, expected=None)
    stored = store.get("a")
    assert stored is not None
    assert (stored.body, stored.info.metadata) == (body, {"generation": "7"})
    assert stored.info.etag == first
    if world.minds_conditions_on_parts:
        assert store.put_if("a", body + b"x", headers, expected=None) is None
        assert store.put_if("a", body + b"x", headers, expected=NONE) is None
        assert read(store, "a") == body
    assert store.put_if("a", body + b"y", headers, expected=first) == head(store, "a").etag
    assert read(store, "a") == body + b"y"


@pytest.mark.usefixtures("small_parts")
def test_ranges_that_the_version_before_has_make_the_same_object(world: World) -> None:
    store, before = world.store, RANDOM.randbytes(24 * MIB)
    first = store.put_if("a", before, JSON, expected=None)
    assert first
    changed = b"changed" * 9
    after = before[: 9 * MIB] + changed + before[9 * MIB :] + b"tail"
    shared = [
        SharedRange(0, 0, 9 * MIB),
        SharedRange(9 * MIB + len(changed), 9 * MIB, 15 * MIB),
    ]
    prepared = store.prepare_put("a", after, JSON, expected=first, shared=shared)
    assert read(store, "a") == before
    assert prepared.complete() == head(store, "a").etag
    assert read(store, "a") == after


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("shift", [0, 1])
def test_ranges_that_the_version_before_does_not_have_are_sent(world: World, shift: int) -> None:
    """The server's copy has another checksum, or there is no such range."""
    store, before = world.store, RANDOM.randbytes(12 * MIB)
    first = store.put_if("a", before, JSON, expected=None)
    assert first
    after = RANDOM.randbytes(12 * MIB)
    shared = [SharedRange(0, 5 * MIB * shift, 12 * MIB)]
    assert store.prepare_put("a", after, JSON, expected=first, shared=shared).complete()
    assert read(store, "a") == after


@pytest.mark.usefixtures("small_parts")
def test_a_write_that_shares_ranges_is_lost_where_another_came_first(world: World) -> None:
    store, before = world.store, RANDOM.randbytes(12 * MIB)
    first = store.put_if("a", before, JSON, expected=None)
    assert first
    store.put("a", b"other", JSON)
    shared = [SharedRange(0, 0, 12 * MIB)]
    prepared = store.prepare_put("a", before + b"x", JSON, expected=first, shared=shared)
    if world.minds_conditions_on_parts:
        assert prepared.complete() is None
        assert read(store, "a") == b"other"


# --- deleting ---------------------------------------------------------------------------------


def test_deleting_takes_away_exactly_those_keys_and_minds_no_missing_one(
    store: ObjectStore,
) -> None:
    for key in ("a/1", "a/2", "a/3"):
        store.put(key, b"x", JSON)
    store.delete(["a/1", "a/3", "a/never-there"])
    assert keys(store, "a/") == ["a/2"]


def test_deleting_nothing_asks_for_nothing(store: ObjectStore) -> None:
    store.delete([])


# --- listing ----------------------------------------------------------------------------------

# In the order of their UTF-8 bytes.  What conda filenames hold ("+", "!", "_"), what a foreign
# bucket may hold (blanks, "%", "&", "é", what lies outside Unicode's first plane).
AWKWARD = [
    "c/ blank",
    "c/!epoch",
    "c/%2B",
    "c/&amp;",
    "c/+cpu",
    "c/_x",
    "c/a b+c",
    "c/é",
    "c/\U0001f40d",
]


def test_keys_come_as_they_are_and_in_the_order_of_their_bytes(store: ObjectStore) -> None:
    for key in reversed(AWKWARD):
        store.put(key, key.encode(), JSON)
    assert keys(store, "c/") == AWKWARD
    assert [read(store, key) for key in AWKWARD] == [key.encode() for key in AWKWARD]


def test_a_listing_goes_on_over_pages(world: World) -> None:
    expected = [f"p/{number:04}" for number in range(3 * world.page_size + 1)]
    for key in expected:
        world.store.put(key, b"x", JSON)
    assert keys(world.store, "p/") == expected


def test_a_listing_starts_behind_a_key_whether_that_is_there_or_not(store: ObjectStore) -> None:
    for key in ("p/1", "p/2", "p/3", "p/4", "p/5", "q/1"):
        store.put(key, b"x", JSON)
    assert keys(store, "p/", after="p/2") == ["p/3", "p/4", "p/5"]
    assert keys(store, "p/", after="p/25") == ["p/3", "p/4", "p/5"]
    assert keys(store, "p/", after="p/5") == []


def test_a_delimiter_leaves_out_what_lies_in_folders(store: ObjectStore) -> None:
    folders = [f"s/{letter}/{number}" for letter in "abcde" for number in range(4)]
    for key in [*folders, "s/b.conda", "s/c.conda", "s/z.conda", "s"]:
        store.put(key, b"x", JSON)
    assert keys(store, "s/", delimiter="/") == ["s/b.conda", "s/c.conda", "s/z.conda"]
    assert keys(store, "s/", delimiter="/", after="s/b.conda") == ["s/c.conda", "s/z.conda"]


def test_what_was_put_before_a_listing_began_is_in_it(store: ObjectStore) -> None:
    for number in range(8):
        store.put(f"p/{number}", b"x", JSON)
        assert len(keys(store, "p/")) == number + 1
