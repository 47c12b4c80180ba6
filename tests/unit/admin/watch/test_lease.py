"""The lease, with clocks that are made up: its holders, its standbys, and what they cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.admin.watch.lease import FORMAT, Lease, Role
from sluice.errors import Unavailable
from sluice.limits import LEASE_RENEWAL_SECONDS, LEASE_SILENCE_SECONDS
from testkit.memory_store import LostAnswer, MemoryStore

KEY = "leases/watch/x.json"
HOLDER, STANDBY = Role.HOLDER, Role.STANDBY


@dataclass
class Fleet:
    """Processes with one lease, each with a clock of its own."""

    now: float = 0.0
    store: MemoryStore = field(default_factory=MemoryStore)

    def process(self, name: str, clock: Callable[[float], float] = lambda now: now) -> Lease:
        return Lease(
            self.store, KEY, name, monotonic=lambda: clock(self.now), clock=lambda: int(self.now)
        )

    def tick(self, *leases: Lease, seconds: float = LEASE_RENEWAL_SECONDS) -> list[Role]:
        self.now += seconds
        return [lease.step() for lease in leases]


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_the_first_holds_it_and_the_others_stand_by(fleet: Fleet) -> None:
    one, two, three = map(fleet.process, "abc")
    for _ in range(100):
        assert fleet.tick(one, two, three) == [HOLDER, STANDBY, STANDBY]


def test_a_silent_holder_is_followed_after_45_seconds_and_not_earlier(fleet: Fleet) -> None:
    one, two = map(fleet.process, "ab")
    fleet.tick(one, two)  # two sees the version now
    waited = 0.0
    while two.role is STANDBY:
        assert waited <= LEASE_SILENCE_SECONDS
        fleet.tick(two, seconds=1)
        waited += 1
    assert waited == LEASE_SILENCE_SECONDS
    assert one.step() is STANDBY  # it was stopped, and notices with its next renewal
    assert [fleet.tick(one, two) for _ in range(10)][-1] == [STANDBY, HOLDER]


def test_of_two_standbys_that_wait_one_follows(fleet: Fleet) -> None:
    one, two, three = map(fleet.process, "abc")
    fleet.tick(one, two, three)
    roles = [fleet.tick(two, three) for _ in range(4)]
    assert roles[-1] == [HOLDER, STANDBY]


def test_a_holder_that_ends_lets_a_standby_follow_at_once(fleet: Fleet) -> None:
    one, two = map(fleet.process, "ab")
    fleet.tick(one, two)
    one.release()
    assert one.role is STANDBY
    assert fleet.tick(two) == [HOLDER]


def test_a_standby_that_ends_releases_nothing(fleet: Fleet) -> None:
    one, two = map(fleet.process, "ab")
    fleet.tick(one, two)
    two.release()
    assert fleet.tick(one, two) == [HOLDER, STANDBY]


@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("offset", [-(10.0**9), 0.0, 10.0**9])
def test_clocks_that_disagree_take_nothing_from_a_holder_that_renews(
    fleet: Fleet, rate: float, offset: float
) -> None:
    """Even one that is ten times too fast sees a new version at each look."""
    one = fleet.process("a")
    two = fleet.process("b", lambda now: now * rate + offset)
    fleet.tick(one)
    for _ in range(50):
        assert fleet.tick(one, two) == [HOLDER, STANDBY]


def test_a_clock_that_stands_still_never_takes_over(fleet: Fleet) -> None:
    one, two = fleet.process("a"), fleet.process("b", lambda _now: 5.0)
    fleet.tick(one, two)
    assert [fleet.tick(two) for _ in range(100)][-1] == [STANDBY]


def test_a_holder_that_slept_finds_its_successor_and_stands_by(fleet: Fleet) -> None:
    one, two = map(fleet.process, "ab")
    fleet.tick(one, two)
    for _ in range(4):
        fleet.tick(two)
    assert (one.role, two.role) == (HOLDER, HOLDER)  # both work for a moment, which harms nothing
    assert fleet.tick(one, two) == [STANDBY, HOLDER]


def test_a_holder_that_cannot_renew_goes_on_until_others_may_take_over(fleet: Fleet) -> None:
    one = fleet.process("a")
    fleet.tick(one)

    def fail(_operation: str, _key: str) -> None:
        raise LostAnswer

    fleet.store.before = fail
    for _ in range(2):
        with pytest.raises(Unavailable):
            fleet.tick(one)
        assert one.role is HOLDER
    with pytest.raises(Unavailable):
        fleet.tick(one)
    assert one.role is STANDBY


def test_a_renewal_whose_answer_is_lost_is_settled_by_reading(fleet: Fleet) -> None:
    one, two = map(fleet.process, "ab")
    fleet.tick(one, two)
    real = fleet.store.put_if

    def without_answer(*args: object, **more: object) -> None:
        real(*args, **more)  # type: ignore[arg-type]

    fleet.store.put_if = without_answer  # type: ignore[method-assign]
    assert fleet.tick(one) == [HOLDER]
    fleet.store.put_if = real  # type: ignore[method-assign]
    assert fleet.tick(one, two) == [HOLDER, STANDBY]


def test_a_renewal_that_does_not_land_leaves_the_holder_its_own_version(fleet: Fleet) -> None:
    one, two = map(fleet.process, "ab")
    fleet.tick(one, two)
    real = fleet.store.put_if
    fleet.store.put_if = lambda *_args, **_more: None  # type: ignore[method-assign]
    assert fleet.tick(one) == [HOLDER]
    fleet.store.put_if = real  # type: ignore[method-assign]
    assert fleet.tick(one, two) == [HOLDER, STANDBY]


def test_a_deleted_lease_is_free(fleet: Fleet) -> None:
    one, two = map(fleet.process, "ab")
    fleet.tick(one, two)
    fleet.store.remove(KEY)
    assert fleet.tick(two) == [HOLDER]
    assert fleet.tick(one, two) == [STANDBY, HOLDER]


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"format": 99}', b"{}"])
def test_a_lease_that_cannot_be_read_is_one_of_somebody_who_may_fall_silent(
    fleet: Fleet, body: bytes
) -> None:
    fleet.store.upload(KEY, body)
    one = fleet.process("a")
    assert one.step() is STANDBY
    roles = [fleet.tick(one)[0] for _ in range(3)]
    assert roles == [STANDBY, STANDBY, HOLDER]


def test_it_says_its_format_and_each_version_differs(fleet: Fleet) -> None:
    one = fleet.process("a")
    etags = set()
    for _ in range(5):
        fleet.tick(one, seconds=0)
        stored = fleet.store.get(KEY)
        assert stored
        etags.add(stored.info.etag)
    assert len(etags) == 5
    assert json.loads(fleet.store.body(KEY))["format"] == FORMAT


def test_an_hour_costs_240_requests_each(fleet: Fleet) -> None:
    one, two = map(fleet.process, "ab")
    fleet.tick(one, two)
    before = len(fleet.store.operations())
    for _ in range(240):
        fleet.tick(one, two)
    assert len(fleet.store.operations()) - before == 2 * 240


_STEPS = st.lists(st.tuples(st.integers(0, 2), st.floats(0, 60)), min_size=1, max_size=60)


@given(_STEPS)
def test_whoever_wrote_last_holds_it_however_they_take_turns(
    steps: list[tuple[int, float]],
) -> None:
    fleet = Fleet()
    leases = list(map(fleet.process, "abc"))
    for index, seconds in steps:
        (role,) = fleet.tick(leases[index], seconds=seconds)
        holder = json.loads(fleet.store.body(KEY))["holder"]
        assert (holder == leases[index].name) == (role is HOLDER)
