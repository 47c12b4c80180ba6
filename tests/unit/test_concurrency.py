"""Doing many things at once, with results in order and no error lost."""

from __future__ import annotations

import threading

import pytest

from sluice.concurrency import Executor, chunks, in_order, in_threads, weighted_chunks
from sluice.errors import Unavailable
from tests.support.deferred_executor import deferred

GATHERS = [in_order, in_threads(4)]
each_starter = pytest.mark.parametrize(
    "executor", [*GATHERS, deferred], ids=["in_order", "in_threads", "when_asked"]
)


@pytest.mark.parametrize("executor", GATHERS, ids=["in_order", "in_threads"])
def test_results_come_in_the_order_of_the_items(executor: Executor) -> None:
    assert executor.map(lambda n: n * n, range(100)) == [n * n for n in range(100)]
    assert executor.map(str, iter([7])) == ["7"]
    assert executor.map(str, []) == []


@pytest.mark.parametrize("executor", GATHERS, ids=["in_order", "in_threads"])
def test_the_first_error_in_order_is_raised(executor: Executor) -> None:
    def fail(n: int) -> int:
        if n % 2:
            raise Unavailable(str(n))
        return n

    with pytest.raises(Unavailable, match=r"^1$"):
        executor.map(fail, range(8))


def test_an_error_is_raised_only_after_everything_started_has_ended() -> None:
    ended: list[int] = []
    failed = threading.Event()

    def work(n: int) -> None:
        if n == 0:
            failed.set()
            raise Unavailable("first")
        failed.wait()
        ended.append(n)

    with pytest.raises(Unavailable):
        in_threads(4).map(work, range(4))
    assert sorted(ended) == [1, 2, 3]


def test_several_things_are_under_way_at_once() -> None:
    meeting = threading.Barrier(3, timeout=60)  # only reached where they never meet
    in_threads(3).map(lambda _n: meeting.wait(), range(3))
    assert not meeting.broken


def test_a_single_thing_needs_no_thread() -> None:
    assert in_threads(4).map(lambda _n: threading.current_thread(), [1]) == [
        threading.current_thread()
    ]


@each_starter
def test_what_was_started_gives_its_result_as_often_as_it_is_asked(executor: Executor) -> None:
    done: list[int] = []

    def count() -> int:
        done.append(1)
        return len(done)

    started = executor.submit(count)
    assert (started(), started()) == (1, 1)


@each_starter
def test_what_went_wrong_is_raised_where_the_result_is_asked_for(executor: Executor) -> None:
    def fail() -> None:
        raise Unavailable("later")

    started = executor.submit(fail)
    with pytest.raises(Unavailable, match="later"):
        started()


def test_what_is_started_in_a_thread_goes_on_meanwhile() -> None:
    meeting = threading.Barrier(2, timeout=60)
    started = in_threads(1).submit(meeting.wait)
    meeting.wait()
    assert started() in (0, 1)


def test_chunks_are_of_at_most_the_size_and_leave_nothing_out() -> None:
    assert list(chunks(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(chunks(range(6), 3)) == [[0, 1, 2], [3, 4, 5]]
    assert list(chunks([], 3)) == []


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([], []),
        ([0, 0, 0, 0], [[0, 0, 0], [0]]),
        ([4, 6, 1], [[4, 6], [1]]),
        ([5, 6, 4], [[5], [6, 4]]),
        ([99, 1, 99], [[99], [1], [99]]),
        ([0, 99, 0], [[0], [99], [0]]),
        ([1, 1, 1, 1, 1, 1, 1], [[1, 1, 1], [1, 1, 1], [1]]),
    ],
)
def test_weighted_chunks_are_no_heavier_than_allowed_unless_one_item_is(
    weights: list[int], expected: list[list[int]]
) -> None:
    chunked = weighted_chunks(iter(weights), 3, weight=lambda one: one, weight_max=10)
    assert list(chunked) == expected
