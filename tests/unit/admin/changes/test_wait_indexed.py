"""Waiting for packages: until they are in every form, or will never be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice.admin.changes.pins import pin
from sluice.admin.changes.wait_indexed import Waited, wait_until_indexed
from sluice.errors import Misused
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from testkit.channel import Package
from tests.support.standalone_channel import CHANNEL, LINUX, StandaloneChannel, package

A, B, PURE = package("alpha"), package("beta"), package("pure", subdir="noarch")
CORRUPT = Package("linux-64", "corrupt-1.0-0.conda", b"no zip file")


class Waiting:
    """A wait in made-up time, and what happens meanwhile."""

    def __init__(self, world: StandaloneChannel) -> None:
        self.world = world
        self.now = 0.0
        self.events: dict[int, Callable[[], object]] = {}

    def wait(self, *packages: str, seconds: float = 10) -> list[Waited]:
        return wait_until_indexed(
            self.world.channel,
            packages,
            seconds_max=seconds,
            pause=self._pause,
            monotonic=lambda: self.now,
        )

    def _pause(self, seconds: float) -> None:
        self.now += seconds
        self.world.tick()
        if event := self.events.pop(round(self.now), None):
            event()


@pytest.fixture
def waiting() -> Waiting:
    return Waiting(StandaloneChannel())


def test_what_is_indexed_needs_no_wait(waiting: Waiting) -> None:
    waiting.world.upload(A, PURE)
    waiting.world.index()
    for name in (A.path, A.filename, PURE.filename):
        (one,) = waiting.wait(name)
        assert (one.state, one.is_final) == ("indexed", True)
    assert waiting.now == 0


def test_it_waits_for_all_of_them_even_for_the_upload(waiting: Waiting) -> None:
    waiting.events = {
        2: lambda: waiting.world.upload(A),
        4: waiting.world.index,
        5: lambda: waiting.world.upload(PURE),
        7: waiting.world.index,
    }
    seen = waiting.wait(A.filename, PURE.path)
    assert [one.state for one in seen] == ["indexed", "indexed"]
    assert [one.subdir for one in seen] == ["linux-64", "noarch"]
    assert waiting.now == 7


@pytest.mark.parametrize("file", [REPODATA, REPODATA_ZST, SHARD_INDEX])
def test_every_form_counts(waiting: Waiting, file: str) -> None:
    world = waiting.world
    world.upload(A)
    world.index()
    key = LINUX.file_key(file)
    old = world.public.objects[key]
    world.upload(B)
    world.index()
    new = world.public.objects[key]
    world.public.objects[key] = old
    waiting.events = {3: lambda: world.public.objects.update({key: new})}
    (one,) = waiting.wait(B.path)
    assert (one.state, waiting.now) == ("indexed", 3)


def test_a_form_that_is_missing_counts_as_well(waiting: Waiting) -> None:
    waiting.world.upload(A)
    waiting.world.index()
    waiting.world.public.remove(LINUX.file_key(REPODATA_ZST))
    (one,) = waiting.wait(A.path, seconds=3)
    assert one.state == "waiting"
    assert one.reason == "it is in the catalog, but not yet in every index file"


def test_forms_that_are_off_are_not_waited_for(waiting: Waiting) -> None:
    config = b"[index-config]\nwrite-shards = false\nwrite-zst = false\n"
    waiting.world.public.upload(f"{CHANNEL}/sluice.toml", config)
    waiting.world.upload(A)
    waiting.world.index()
    assert [one.state for one in waiting.wait(A.path)] == ["indexed"]


def test_a_reject_ends_the_wait_at_once_with_its_reason(waiting: Waiting) -> None:
    waiting.world.upload(A)
    waiting.world.index()
    waiting.events = {
        1: lambda: waiting.world.upload(CORRUPT),
        2: waiting.world.index,
    }
    other, refused = waiting.wait("linux-64/never-1-0.conda", CORRUPT.path)
    assert (refused.state, refused.code) == ("rejected", "zip-invalid")
    assert refused.reason
    assert CORRUPT.filename in refused.reason
    assert (other.state, waiting.now) == ("waiting", 2)


def test_a_reject_of_an_upload_before_this_one_does_not_count(waiting: Waiting) -> None:
    world = waiting.world
    world.upload(Package("linux-64", A.filename, b"no zip file"))
    world.index()
    world.upload(A)
    waiting.events = {2: world.index}
    assert [one.state for one in waiting.wait(A.path)] == ["indexed"]
    assert waiting.now == 2


def test_a_record_of_other_bytes_does_not_count(waiting: Waiting) -> None:
    world = waiting.world
    world.upload(A)
    world.index()
    world.upload(Package("linux-64", A.filename, package("alpha", depends=["beta"]).body))
    waiting.events = {2: world.index}
    assert [one.state for one in waiting.wait(A.path)] == ["indexed"]
    assert waiting.now == 2


def test_the_same_bytes_again_need_no_wait(waiting: Waiting) -> None:
    waiting.world.upload(A)
    waiting.world.index()
    waiting.world.upload(A)
    assert [one.state for one in waiting.wait(A.path)] == ["indexed"]
    assert waiting.now == 0


def test_a_pin_ends_the_wait_with_its_reason(waiting: Waiting) -> None:
    waiting.world.upload(A)
    waiting.world.index()
    pin(waiting.world.channel, LINUX, [A.filename], reason="Crashes.")
    (one,) = waiting.wait(A.path)
    assert one.state == "pinned"
    assert one.reason == "it is kept out of the index: Crashes."


def test_the_time_that_is_up_is_no_error_and_says_what_was_seen(waiting: Waiting) -> None:
    waiting.world.upload(A)
    first, second = waiting.wait(A.path, "noarch/x-1-0.conda", seconds=5)
    assert (first.state, first.reason) == (
        "waiting",
        "it is in the bucket, but not yet in the catalog",
    )
    assert (second.state, second.reason) == ("waiting", "it is not in the bucket")
    assert 5 <= waiting.now <= 6


def test_a_name_in_two_subdirs_has_to_be_named_with_one(waiting: Waiting) -> None:
    other = Package("noarch", A.filename, package("alpha", subdir="noarch").body)
    waiting.world.upload(A, other)
    waiting.world.index()
    with pytest.raises(Misused, match="in several subdirs"):
        waiting.wait(A.filename)


def test_what_is_no_package_is_refused(waiting: Waiting) -> None:
    with pytest.raises(Misused, match="is no package"):
        waiting.wait("nonsense")
