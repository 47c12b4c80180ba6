"""Which objects are there, told by one HEAD each or by a few LISTs."""

from __future__ import annotations

from collections import Counter

import pytest

from sluice.concurrency import Executor, in_order
from sluice.errors import Unavailable
from sluice.merge.object_lookup import ObjectLookup
from sluice.storage.object_id import ObjectId
from testkit.memory_store import MemoryStore
from tests.support.deferred_executor import deferred
from tests.support.staging_records import SUBDIR

NAMES = [f"pkg{number}-1-0.conda" for number in range(60)]
BESIDE = ["pkg-1-0.conda", "pkg5-1-0.conda.sigs", "pkg9", "shards/ab.msgpack.zst", "zzz-1-0.conda"]
FEW = 60
"""Files in the subdir."""
MANY = 60_000
each_gather = pytest.mark.parametrize("executor", [in_order, deferred], ids=["now", "when asked"])


def bucket() -> MemoryStore:
    store = MemoryStore(page_size=7)
    for name in [*NAMES, *BESIDE]:
        store.upload(SUBDIR.file_key(name), name.encode())
    return store


def identity(store: MemoryStore, name: str) -> ObjectId:
    return ObjectId.from_info(store.objects[SUBDIR.file_key(name)].info)


def operations(store: MemoryStore) -> Counter[str]:
    return Counter(operation for operation, _ in store.operations())


@each_gather
@pytest.mark.parametrize("files", [FEW, MANY])
def test_what_is_there_is_told_with_its_identity_and_what_is_not_as_nothing(
    files: int, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.merge.object_lookup.HEADS_PER_PAGE_MAX", 1)
    store = bucket()
    gone = [NAMES[0], NAMES[30], NAMES[-1], "aaa-1-0.conda", "zzzz-1-0.conda"]
    for name in gone[:3]:
        store.delete([SUBDIR.file_key(name)])
    asked = [*NAMES, *gone[3:]]
    observation = ObjectLookup(store, SUBDIR, executor)
    observation.prefetch(asked, files=files)
    found = observation.resolve(asked)
    assert found == {n: None if n in gone else identity(store, n) for n in sorted(asked)}


def test_few_files_are_looked_at_one_by_one() -> None:
    store = bucket()
    observation = ObjectLookup(store, SUBDIR, in_order)
    observation.prefetch(NAMES[:5], files=MANY)
    observation.resolve(NAMES[:5])
    assert operations(store) == {"HeadObject": 5}


def test_many_files_are_listed_and_no_more_than_lies_between_them() -> None:
    store = MemoryStore()
    names = [f"pkg{number:04}-1-0.conda" for number in range(1000)]
    for name in names:
        store.upload(SUBDIR.file_key(name), b"")
    observation = ObjectLookup(store, SUBDIR, in_order)
    observation.prefetch(names, files=100_000)
    assert len(observation.resolve(names)) == 1000
    assert operations(store) == {"ListObjectsV2": 8}


def test_what_was_not_begun_with_is_looked_at_when_it_is_asked_for() -> None:
    store = bucket()
    observation = ObjectLookup(store, SUBDIR, in_order)
    observation.prefetch(NAMES[:1], files=FEW)
    assert set(observation.resolve(NAMES[:3]).values()) == {identity(store, n) for n in NAMES[:3]}
    assert operations(store) == {"HeadObject": 3}


@each_gather
@pytest.mark.parametrize(("limit", "operation"), [(8, "HeadObject"), (0, "ListObjectsV2")])
def test_a_look_that_fails_is_never_taken_for_absence(
    limit: int, operation: str, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.merge.object_lookup.HEADS_PER_PAGE_MAX", limit)
    store = bucket()

    def fail(asked: str, _key: str) -> None:
        # A HEAD that is refused is made up for with a LIST, which fails as well then.
        if asked in (operation, "ListObjectsV2"):
            raise Unavailable("down")

    store.before = fail
    observation = ObjectLookup(store, SUBDIR, executor)
    observation.prefetch(NAMES[:3], files=FEW)
    with pytest.raises(Unavailable):
        observation.resolve(NAMES[:3])
