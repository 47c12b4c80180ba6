"""Looks at published files that were begun before it was known what to write."""

from __future__ import annotations

import pytest

from sluice import zstd
from sluice.concurrency import Executor, in_order
from sluice.errors import Corrupt, Unavailable
from sluice.publish.prefetch import Prefetch
from testkit.memory_store import MemoryStore
from tests.support.deferred_executor import deferred
from tests.support.staging_records import SUBDIR

each_gather = pytest.mark.parametrize("executor", [in_order, deferred], ids=["now", "when asked"])


def store_with(**files: bytes) -> MemoryStore:
    store = MemoryStore()
    for name, body in files.items():
        store.upload(SUBDIR.file_key(name), body)
    return store


def read(ahead: Prefetch, file: str) -> bytes | None:
    with ahead.open(file) as opened:
        return opened.content() if opened else None


@each_gather
def test_each_file_is_asked_for_once_however_it_is_looked_at(executor: Executor) -> None:
    store = store_with(a=b"a", b=b"b")
    ahead = Prefetch(store, SUBDIR)
    ahead.start(executor, heads=["a", "none"], bodies=["b", "nothing"])
    found = ahead.head("a")
    assert found is not None
    assert found.size == 1
    assert ahead.head("none") is None
    assert read(ahead, "b") == b"b"
    assert read(ahead, "nothing") is None
    assert [operation for operation, _ in store.operations()].count("HeadObject") == 2
    assert [operation for operation, _ in store.operations()].count("GetObject") == 2


def test_a_second_look_sees_what_is_there_then() -> None:
    store = store_with(a=b"a")
    ahead = Prefetch(store, SUBDIR)
    ahead.start(in_order, heads=["a"], bodies=["a"])
    store.upload(SUBDIR.file_key("a"), b"later")
    first, second = ahead.head("a"), ahead.head("a")
    assert first is not None
    assert second is not None
    assert (first.size, second.size) == (1, 5)
    assert (read(ahead, "a"), read(ahead, "a")) == (b"a", b"later")


@each_gather
def test_a_look_that_fails_fails_where_its_result_is_needed(executor: Executor) -> None:
    store = store_with(a=b"a")

    def fail(_operation: str, _key: str) -> None:
        raise Unavailable("down")

    store.before = fail
    ahead = Prefetch(store, SUBDIR)
    ahead.start(executor, heads=["a"], bodies=["a"])
    with pytest.raises(Unavailable):
        ahead.head("a")
    with pytest.raises(Unavailable):
        read(ahead, "a")


@each_gather
def test_what_is_compressed_comes_uncompressed_and_damage_is_told_where_it_is_used(
    executor: Executor,
) -> None:
    good, damaged = "repodata.json.zst", "run_exports.json.zst"
    store = store_with(**{good: zstd.compress(b"content"), damaged: b"no zstd"})
    ahead = Prefetch(store, SUBDIR)
    ahead.start(executor, heads=[], bodies=[good, damaged])
    for _ in range(2):  # as it was read, and opened anew
        assert read(ahead, good) == b"content"
        with ahead.open(damaged) as opened:
            assert opened is not None
            assert opened.info.size == len(b"no zstd")
            with pytest.raises(Corrupt):
                opened.content()


def test_what_was_kept_is_there_when_the_file_is_closed() -> None:
    ahead = Prefetch(store_with(a=b"a"), SUBDIR)
    with ahead.open("a") as opened:
        assert opened is not None
        kept = opened.load()
    assert [kept.content(), kept.content()] == [b"a", b"a"]
