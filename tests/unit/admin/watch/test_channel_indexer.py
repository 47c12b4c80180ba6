"""The work on one channel: what it does, and what it costs while nothing happens."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from sluice.admin.standalone.index import IndexOptions
from sluice.admin.standalone.package_pool import Examiner, ThreadReaders
from sluice.admin.verify.verify import verify
from sluice.admin.watch.channel_indexer import ChannelIndexer
from sluice.admin.watch.schedule import ReadObjects
from sluice.errors import Unavailable
from sluice.layout import PackageKey
from sluice.limits import WATCH_FULL_LISTING_SECONDS
from testkit.memory_store import LostAnswer, ignore
from tests.support.request_hooks import ProcessKilled
from tests.support.standalone_channel import (
    CHANNEL,
    LINUX,
    NOARCH,
    StandaloneChannel,
    package,
)

A, B, C = package("alpha"), package("beta"), package("gamma", subdir="noarch")


@dataclass
class Watched:
    """A channel, and who watches it."""

    world: StandaloneChannel = field(default_factory=lambda: StandaloneChannel(page_size=1000))
    now: float = 0.0

    def __post_init__(self) -> None:
        options = IndexOptions(subdirs_at_once=1)
        self.indexer = ChannelIndexer(self.world.channel, options, lambda: self.now)

    def poll(self) -> bool:
        """List the channel, 300 seconds later; whether anything was compared."""
        self.now += 300
        self.world.tick(300)
        return self.indexer.list_channel() is not None

    def settle(self) -> None:
        """List until nothing is compared any more."""
        for _ in range(4):
            if not self.poll():
                return
        pytest.fail("it never settles")

    def read(self, *packages: object, config_changed: bool = False) -> None:
        work = ReadObjects(
            {PackageKey(LINUX, one.filename): None for one in packages},  # type: ignore[attr-defined]
            config_changed,
        )
        assert self.indexer.read_objects(work).failures == []

    def requests(self) -> int:
        return len(self.world.public.operations()) + len(self.world.state.operations())


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_listing_finds_everything(watched: Watched) -> None:
    watched.world.upload(A, B, C)
    assert watched.poll()
    assert watched.world.filenames(LINUX) == [A.filename, B.filename]
    assert watched.world.filenames(NOARCH) == [C.filename]


def test_named_objects_are_indexed_without_a_listing_of_packages(watched: Watched) -> None:
    watched.world.upload(A)
    watched.settle()
    watched.world.upload(B, package("unnamed"))
    before = len(watched.world.public.operations())
    watched.read(B)
    listings = [
        key for operation, key in watched.world.public.operations()[before:] if operation == "LIST"
    ]
    assert listings == []
    assert watched.world.filenames() == [A.filename, B.filename]


def test_a_named_object_that_is_gone_leaves_the_index(watched: Watched) -> None:
    watched.world.upload(A, B)
    watched.settle()
    watched.world.public.remove(LINUX.file_key(A.filename))
    watched.read(A)
    assert watched.world.filenames() == [B.filename]


def test_a_configuration_is_read_when_it_is_named(watched: Watched) -> None:
    watched.world.upload(A)
    watched.settle()
    watched.world.public.upload(f"{CHANNEL}/sluice.toml", b"[sluice]\nrss = true\n")
    watched.read(config_changed=True)
    assert watched.world.public.head(f"{CHANNEL}/rss.xml")


def test_an_idle_hour_costs_no_more_than_its_listings(watched: Watched) -> None:
    """12 x (pages + 3); the lease has 240 more."""
    watched.world.upload(A, B, C)
    watched.settle()
    before = watched.requests()
    for _ in range(12):
        assert not watched.poll()
    pages = 1
    assert watched.requests() - before <= 12 * (pages + 3)


def test_pages_of_packages_are_all_that_a_larger_channel_adds() -> None:
    watched = Watched(StandaloneChannel(page_size=10))
    watched.world.upload(*(package(f"lib{number}") for number in range(35)))
    watched.settle()
    keys = len(watched.world.public.keys())
    before = watched.requests()
    for _ in range(12):
        assert not watched.poll()
    assert watched.requests() - before <= 12 * (-(-keys // 10) + 3)


@pytest.mark.parametrize("change", ["upload", "overwrite", "remove", "index", "head", "config"])
def test_whatever_changes_is_compared_again(watched: Watched, change: str) -> None:
    world = watched.world
    world.upload(A, B)
    watched.settle()
    key = LINUX.file_key(A.filename)
    match change:
        case "upload":
            world.upload(C)
        case "overwrite":
            world.public.upload(key, package("alpha", depends=["beta"]).body)
        case "remove":
            world.public.remove(key)
        case "index":
            world.public.remove(LINUX.file_key("repodata.json"))
        case "head":
            world.upload(C)
            world.index()
        case "config":
            world.public.upload(f"{CHANNEL}/sluice.toml", b"")
    assert watched.poll()
    watched.settle()


def test_it_compares_once_a_day_though_nothing_changes(watched: Watched) -> None:
    watched.world.upload(A)
    watched.settle()
    rounds = WATCH_FULL_LISTING_SECONDS // 300
    assert sum(watched.poll() for _ in range(rounds)) == 1


def test_what_failed_is_compared_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.world.upload(A)
    _one_by_one(watched, monkeypatch)

    def fail(operation: str, key: str) -> None:
        if key.endswith(A.filename) and operation != "LIST":
            raise LostAnswer

    watched.world.public.before = fail
    report = watched.indexer.list_channel()
    assert report
    assert report.failures
    report = watched.indexer.list_channel()
    assert report
    watched.world.public.before = lambda *_: None
    watched.settle()
    assert watched.world.filenames() == [A.filename]


def _one_by_one(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have packages read by this thread, which a hook can kill."""
    examiner = Examiner(watched.world.public, True, watched.world.channel.clock)  # noqa: FBT003
    readers = ThreadReaders(examiner, workers=1)
    monkeypatch.setattr(ChannelIndexer, "_readers", lambda _self: readers)


class _KillAt:
    """A hook of both buckets that kills the process at a request."""

    def __init__(self, number: int | None) -> None:
        self.seen = 0
        self._number = number

    def __call__(self, _operation: str, _key: str) -> None:
        self.seen += 1
        if self._number is not None and self.seen > self._number:  # it sends none after that
            raise ProcessKilled


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_request_of_a_hinted_run_loses_nothing(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a request takes effect, or after: the next process begins with a listing."""

    def run(kill_at: int | None) -> tuple[Watched, int]:
        watched = Watched()
        _one_by_one(watched, monkeypatch)
        watched.world.upload(A)
        watched.settle()
        watched.world.upload(B)
        watched.world.public.remove(LINUX.file_key(A.filename))
        watched.world.public.upload(f"{CHANNEL}/sluice.toml", b"[sluice]\nrss = true\n")
        hook = _KillAt(kill_at)
        for store in (watched.world.public, watched.world.state):
            setattr(store, moment, hook)
        if kill_at is None:
            watched.read(A, B, config_changed=True)
        else:
            with pytest.raises(ProcessKilled):
                watched.read(A, B, config_changed=True)
        for store in (watched.world.public, watched.world.state):
            setattr(store, moment, ignore)
        return watched, hook.seen

    _, requests = run(None)
    assert requests > 20
    for number in range(requests):
        watched, _ = run(number)
        _one_by_one(watched, monkeypatch)
        following = Watched(watched.world)  # another process, on the same buckets
        _one_by_one(following, monkeypatch)
        following.settle()
        assert watched.world.filenames() == [B.filename], number
        assert watched.world.public.head(f"{CHANNEL}/rss.xml"), number
        assert not verify(watched.world.channel).findings, number


def test_a_store_that_does_not_answer_is_unavailable(watched: Watched) -> None:
    def fail(_operation: str, _key: str) -> None:
        raise LostAnswer

    watched.world.public.before = fail
    with pytest.raises(Unavailable):
        watched.indexer.list_channel()


def test_a_foreign_index_is_a_failure_that_names_the_way_out(watched: Watched) -> None:
    watched.world.upload(A)
    watched.settle()
    other = Watched(watched.world)
    other.indexer.channel = replace(other.world.channel, owner="other-state")
    report = other.indexer.list_channel()
    assert report
    assert any("other-state" in one.reason or "adopt" in one.reason for one in report.failures)
