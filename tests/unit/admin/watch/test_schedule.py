"""When a channel is listed and when objects are read: leading edges, trailing edges, retries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.admin.watch import schedule as module
from sluice.admin.watch.schedule import ChannelSchedule, ListChannel, ReadObjects
from sluice.layout import PackageKey, Subdir
from sluice.limits import WATCH_RETRY_SECONDS_MIN

POLL, DEBOUNCE = 300.0, 10.0
SUBDIRS = ("linux-64", "noarch")


def key(number: int, subdir: str = "linux-64") -> PackageKey:
    return PackageKey(Subdir("team", subdir), f"lib{number}-1-0.conda")


def listed(*, at: float = 0.0) -> ChannelSchedule:
    """A schedule after its first listing."""
    schedule = ChannelSchedule(POLL, DEBOUNCE)
    assert schedule.take(now=at) == ListChannel()
    schedule.end_listing(now=at, failed=False)
    return schedule


def test_it_begins_with_a_listing_and_repeats_it_after_the_poll() -> None:
    schedule = listed()
    assert schedule.take(now=POLL - 1) is None
    assert schedule.due_at() == POLL
    assert schedule.take(now=POLL) == ListChannel()


def test_a_lone_upload_is_read_at_once() -> None:
    schedule = listed()
    schedule.hint(key(1), 7, now=100)
    assert schedule.due_at() <= 100
    assert schedule.take(now=100) == ReadObjects({key(1): 7})
    assert schedule.take(now=100) is None


def test_the_rest_of_a_burst_is_read_at_the_end_of_its_window_together() -> None:
    schedule = listed()
    schedule.hint(key(1), None, now=100)
    assert schedule.take(now=100)
    for number in range(2, 50):
        schedule.hint(key(number), None, now=100 + number / 10)
        assert schedule.take(now=100 + number / 10) is None
    assert schedule.due_at() == 110
    work = schedule.take(now=110)
    assert isinstance(work, ReadObjects)
    assert set(work.packages) == {key(number) for number in range(2, 50)}


def test_subdirs_have_edges_of_their_own() -> None:
    schedule = listed()
    schedule.hint(key(1), None, now=100)
    assert schedule.take(now=100)
    schedule.hint(key(2), None, now=101)
    schedule.hint(key(3, "noarch"), None, now=101)
    assert schedule.take(now=101) == ReadObjects({key(3, "noarch"): None})
    assert schedule.take(now=110) == ReadObjects({key(2): None})


def test_a_configuration_has_edges_too() -> None:
    schedule = listed()
    schedule.hint_config()
    assert schedule.take(now=100) == ReadObjects({}, config_changed=True)
    schedule.hint_config()
    assert schedule.take(now=105) is None
    assert schedule.take(now=110) == ReadObjects({}, config_changed=True)
    assert schedule.take(now=130) is None


def test_a_listing_covers_the_hints_before_it_and_not_those_after() -> None:
    schedule = listed()
    schedule.hint(key(1), None, now=POLL - 1)
    schedule.hint_config()
    schedule.request_listing(now=POLL - 1)
    assert schedule.take(now=POLL - 1) == ListChannel()
    schedule.hint(key(2, "noarch"), None, now=POLL)
    schedule.end_listing(now=POLL + 5, failed=False)
    assert schedule.take(now=POLL + 5) == ReadObjects({key(2, "noarch"): None})


def test_a_listing_that_is_requested_during_one_is_not_forgotten() -> None:
    schedule = listed()
    assert schedule.take(now=POLL)
    schedule.request_listing(now=POLL + 1)
    schedule.end_listing(now=POLL + 2, failed=False)
    assert schedule.take(now=POLL + 2) == ListChannel()


def test_failed_listings_are_repeated_ever_later_up_to_the_poll() -> None:
    schedule = ChannelSchedule(POLL, DEBOUNCE)
    now, waits = 0.0, []
    for _ in range(20):
        assert schedule.take(now=now) == ListChannel()
        schedule.end_listing(now=now, failed=True)
        waits.append(schedule.due_at() - now)
        now = schedule.due_at()
    assert waits[:3] == [WATCH_RETRY_SECONDS_MIN * factor for factor in (1, 2, 4)]
    assert waits[-1] == POLL
    assert schedule.take(now=now)
    schedule.end_listing(now=now, failed=False)
    assert schedule.due_at() == now + POLL


def test_what_could_not_be_read_is_found_by_a_listing_soon() -> None:
    schedule = listed()
    schedule.hint(key(1), None, now=100)
    assert schedule.take(now=100)
    schedule.end_reading(now=101, failed=True)
    assert schedule.take(now=101 + WATCH_RETRY_SECONDS_MIN) == ListChannel()


def test_more_hints_than_are_kept_lead_to_a_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_HINTS_MAX", 10)
    schedule = listed()
    for number in range(50):
        schedule.hint(key(number), None, now=100)
    assert schedule.pending == 10
    assert schedule.take(now=100) == ListChannel()
    assert schedule.pending == 0


_HINTS = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 5), st.sampled_from(SUBDIRS)), max_size=30
)


@given(_HINTS)
def test_every_hint_is_read_within_a_window_and_no_subdir_more_often(
    hints: Sequence[tuple[int, int, str]],
) -> None:
    schedule = ChannelSchedule(10**9, DEBOUNCE)
    assert schedule.take(now=0)
    schedule.end_listing(now=0, failed=False)
    now = 100.0
    waiting: dict[PackageKey, float] = {}
    read: dict[str, list[float]] = {subdir: [] for subdir in SUBDIRS}

    def advance(until: float) -> None:
        while (due := schedule.due_at()) <= until:
            at = max(due, 100.0)
            work = schedule.take(now=at)
            assert isinstance(work, ReadObjects)
            for subdir in {one.subdir.name for one in work.packages}:
                assert not read[subdir] or at - read[subdir][-1] >= DEBOUNCE
                read[subdir].append(at)
            for one in work.packages:
                assert at - waiting.pop(one) <= DEBOUNCE

    for wait, number, subdir in hints:
        advance(now + wait)
        now += wait
        is_quiet = not read[subdir] or now - read[subdir][-1] >= DEBOUNCE
        schedule.hint(key(number, subdir), None, now=now)
        waiting.setdefault(key(number, subdir), now)
        if is_quiet:
            assert schedule.due_at() <= now
            work = schedule.take(now=now)
            assert isinstance(work, ReadObjects)
            read[subdir].append(now)
            for one in work.packages:
                if one.subdir.name != subdir:
                    read[one.subdir.name].append(now)
                waiting.pop(one)
    advance(now + DEBOUNCE + 1)
    assert not waiting
    assert schedule.pending == 0
