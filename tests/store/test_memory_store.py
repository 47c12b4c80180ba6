"""What the in-memory store offers beyond the contract: an outside, a log, hooks, lost answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice.errors import Unavailable
from sluice.storage.object_store import ETag, ObjectHeaders
from testkit.memory_store import LostAnswer, MemoryStore, Request

JSON = ObjectHeaders("application/json")


class Killed(BaseException):
    """The process is gone."""


def raising(failure: BaseException, operation: str = "PutObject") -> MemoryStore:
    """Make a store in which one kind of request fails before it takes effect."""
    store = MemoryStore()

    def hook(found: str, _key: str) -> None:
        if found == operation:
            raise failure

    store.before = hook
    return store


def after(store: MemoryStore) -> MemoryStore:
    """Let requests fail after their effect instead."""
    store.before, store.after = store.after, store.before
    return store


@pytest.mark.parametrize("encryption", ["AES256", None])
def test_only_a_plain_upload_has_an_etag_that_is_its_md5(encryption: str | None) -> None:
    store = MemoryStore()
    md5 = '"f97c5d29941bfb1b2fdab0874906ab82"'
    assert store.upload("a", b"one", encryption=encryption).etag == md5
    assert store.upload("a", b"one", encryption="aws:kms").etag != md5
    assert store.upload("a", b"one", parts=2).etag.endswith('-2"')


def test_an_upload_in_parts_has_no_sha256_of_the_whole() -> None:
    assert MemoryStore().upload("a", b"one", parts=2, checksum=True).sha256 is None


def test_modified_is_the_clock_cut_to_seconds() -> None:
    assert MemoryStore(lambda: 12.9).upload("a", b"one").modified == 12


def test_requests_are_logged_with_their_bytes_and_the_outside_is_not() -> None:
    store = MemoryStore(page_size=1)
    info = store.upload("p/a", b"0123456789")
    store.put("p/b", b"xyz", JSON)
    store.put_if("p/b", b"lost", JSON, expected=None)
    store.read_range("p/a", 2, 5, if_match=info.etag)
    with store.open("p/a"):
        pass
    store.get("p/a")
    list(store.list("p/"))
    store.delete(["p/a", "p/b"])
    store.head("p/a")
    assert store.requests == [
        Request("PutObject", "p/b", sent=3),
        Request("PutObject", "p/b", sent=4),
        Request("GetObject", "p/a", received=5),
        Request("GetObject", "p/a"),
        Request("GetObject", "p/a", received=10),
        Request("ListObjectsV2", "p/"),
        Request("ListObjectsV2", "p/"),
        Request("DeleteObjects", "p/a"),
        Request("HeadObject", "p/a"),
    ]


def test_whoever_dies_before_a_request_leaves_no_trace_of_it() -> None:
    store = raising(Killed())
    with pytest.raises(Killed):
        store.put("a", b"one", JSON)
    assert store.keys() == []
    assert store.requests == []


def test_whoever_dies_after_a_request_has_made_it() -> None:
    store = after(raising(Killed()))
    with pytest.raises(Killed):
        store.put_if("a", b"one", JSON, expected=None)
    assert store.body("a") == b"one"


def test_a_lost_answer_looks_the_same_whether_the_write_landed_or_not() -> None:
    not_landed, landed = raising(LostAnswer()), after(raising(LostAnswer()))
    assert not_landed.put_if("a", b"one", JSON, expected=None) is None
    assert landed.put_if("a", b"one", JSON, expected=None) is None
    assert not_landed.keys() == []
    assert landed.keys() == ["a"]


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("PutObject", lambda store: store.put("a", b"one", JSON)),
        ("GetObject", lambda store: store.read_range("a", 0, 1, if_match=ETag('"0"'))),
        ("HeadObject", lambda store: store.head("a")),
        ("ListObjectsV2", lambda store: list(store.list("a"))),
        ("DeleteObjects", lambda store: store.delete(["a"])),
    ],
)
def test_other_lost_answers_are_unavailable(
    operation: str, call: Callable[[MemoryStore], object]
) -> None:
    with pytest.raises(Unavailable, match=f"{operation} a: no answer"):
        call(raising(LostAnswer(), operation))


def test_a_listing_sees_what_changes_between_its_pages() -> None:
    store = MemoryStore(page_size=1)
    for key in ("p/1", "p/2", "p/4"):
        store.upload(key, b"x")
    listing = store.list("p/")
    next(listing)
    store.remove("p/2")
    store.upload("p/3", b"x")
    assert [info.key for info in listing] == ["p/3", "p/4"]
