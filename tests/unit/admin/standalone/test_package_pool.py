"""Which packages are read how: small ones from one thread, with their requests sent ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from sluice.admin.standalone.package_pool import Examiner, ThreadReaders, Verdict
from sluice.errors import Unavailable
from sluice.extract.staging import Indexed, Removed, decode_staging_record
from sluice.layout import PackageKey, parse_package_key
from sluice.limits import READ_AHEAD_BYTES_MAX
from sluice.storage import object_headers
from sluice.storage.object_store import OpenObject
from testkit.channel import conda, index_of
from testkit.memory_store import MemoryStore

AHEAD = 4
PACKAGES = [conda(index_of(f"demo{number}")) for number in range(10)]
SIZES: Mapping[PackageKey, int | None] = {
    key: len(package.body)
    for package in PACKAGES
    if (key := parse_package_key(f"channel/{package.path}"))
}
KEYS = [key.key for key in SIZES]


class Begun:
    """A request that was sent."""

    def __init__(self, store: AheadStore, key: str) -> None:
        self._store, self._key = store, key

    @contextmanager
    def opened(self) -> Iterator[OpenObject | None]:
        """Answer it."""
        self._store.under_way.remove(self._key)
        self._store.on_opened(self._key)
        with self._store.open(self._key) as opened:
            yield opened

    def drop(self) -> None:
        """Forget it."""
        self._store.under_way.remove(self._key)


class AheadStore(MemoryStore):
    """A store that sends GET requests ahead, and remembers how many were under way."""

    def __init__(self, on_opened: Callable[[str], None] = lambda _key: None) -> None:
        super().__init__()
        self.on_opened = on_opened
        self.begun: list[str] = []
        self.under_way: list[str] = []
        self.most = 0
        for package in PACKAGES:
            key = f"channel/{package.path}"
            self.put(key, package.body, object_headers.PRIVATE_JSON_HEADERS)

    def begin_open(self, key: str) -> Begun:
        """See ``BeginsReads.begin_open``."""
        self.begun.append(key)
        self.under_way.append(key)
        self.most = max(self.most, len(self.under_way))
        return Begun(self, key)


def examiner(store: MemoryStore) -> Examiner:
    """One that trusts and knows one time."""
    return Examiner(store, trust_uploader_digests=True, clock=lambda: 1, ahead=AHEAD)


def kinds(verdicts: list[Verdict]) -> list[type]:
    """What the staging records say."""
    return [type(decode_staging_record(one.staged)) for one in verdicts if one.staged]


def test_requests_are_sent_ahead_in_order_and_no_further_than_they_may() -> None:
    store = AheadStore()
    verdicts = examiner(store)(list(SIZES.items()))
    assert [verdict.key for verdict in verdicts] == list(SIZES)
    assert kinds(verdicts) == [Indexed] * len(SIZES)
    assert (store.begun, store.most, store.under_way) == (KEYS, AHEAD, [])


def test_a_verdict_is_the_same_without_a_store_that_sends_ahead() -> None:
    plain = MemoryStore()
    for package in PACKAGES:
        plain.put(f"channel/{package.path}", package.body, object_headers.PRIVATE_JSON_HEADERS)
    batch = list(SIZES.items())
    assert examiner(plain)(batch) == examiner(AheadStore())(batch)


@pytest.mark.parametrize("size", [None, READ_AHEAD_BYTES_MAX + 1])
def test_what_may_be_large_is_not_requested_ahead(size: int | None) -> None:
    store = AheadStore()
    verdicts = examiner(store)([(key, size) for key in SIZES])
    assert kinds(verdicts) == [Indexed] * len(SIZES)
    assert store.begun == []


def test_an_object_that_is_gone_or_not_returned_stops_no_other() -> None:
    def fail(key: str) -> None:
        if key == KEYS[3]:
            raise Unavailable("not now")

    store = AheadStore(fail)
    store.delete([KEYS[5]])
    verdicts = examiner(store)(list(SIZES.items()))
    assert [one.failure for one in verdicts if one.staged is None] == ["not now"]
    expected: list[type] = [Indexed] * (len(SIZES) - 1)
    expected[4] = Removed
    assert kinds(verdicts) == expected


def test_an_error_leaves_no_request_under_way() -> None:
    def fail(key: str) -> None:
        if key == KEYS[2]:
            raise KeyboardInterrupt

    store = AheadStore(fail)
    with pytest.raises(KeyboardInterrupt):
        examiner(store)(list(SIZES.items()))
    assert (len(store.begun), store.under_way) == (AHEAD + 2, [])


def test_small_packages_come_first_and_all_of_them_once() -> None:
    store = AheadStore()
    large = dict.fromkeys(list(SIZES)[::2], READ_AHEAD_BYTES_MAX + 1)
    sizes = {**SIZES, **large}
    read = [one.key for some in ThreadReaders(examiner(store), 2).read(sizes) for one in some]
    assert sorted(read) == sorted(SIZES)
    small = [key for key in SIZES if key not in large]
    assert read[: len(small)] == small
    assert store.begun == [key.key for key in small]
