"""A merge that dies, or loses an answer, at any of its requests: the retry completes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.simulation.faults import Fault, disturb_everywhere
from tests.simulation.world import CORRUPT, World
from tests.support.scheduler import Killed

from sluice import debounce
from sluice.keys import NOARCH

KEPT, OVER, GONE, SPOILT = (f"{name}-1-0.conda" for name in ("kept", "over", "gone", "spoilt"))
NEW, BAD = "new-1-0.conda", "bad-1-0.conda"
OLD = [f"old-{number}-0.conda" for number in range(20)]


def batch_of_everything() -> World:
    """New, overwritten, removed, spoilt and never good, waiting together for one merge."""
    world = World()
    world.publish(KEPT, OVER, GONE, SPOILT)
    world.settled = {KEPT}
    world.upload(NEW)
    world.upload(OVER, b"other")
    world.remove(GONE)
    world.upload(SPOILT, CORRUPT)
    world.upload(BAD, CORRUPT)
    for filename in (NEW, OVER, GONE, SPOILT, BAD):
        world.stage(filename)
    return world


def first_commit() -> World:
    """The first upload into an empty bucket."""
    world = World()
    world.upload(NEW)
    world.stage(NEW)
    return world


def first_commit_over_foreign() -> World:
    """The first upload into a subdir that another tool has indexed."""
    world = first_commit()
    world.index_as_others_do(OLD)
    return world


def nothing_new() -> World:
    """A batch that only advances the epoch."""
    world = World()
    world.publish(KEPT)
    world.stage(KEPT)
    return world


@pytest.mark.parametrize(
    "begin", [batch_of_everything, first_commit, first_commit_over_foreign, nothing_new]
)
def test_whatever_request_a_merge_fails_at_its_retry_comes_to_the_same_index(
    begin: Callable[[], World],
) -> None:
    faults = {fault for fault, _ in disturb_everywhere(begin)}
    # Each request once before and once after its effect, for both kinds of fault.
    assert {(fault.failure, fault.landed) for fault in faults} == {
        (failure, landed) for failure in {fault.failure for fault in faults} for landed in (0, 1)
    }
    killed = sum(fault.failure is Killed for fault in faults)
    assert killed == 2 * len({fault.request for fault in faults})


def test_the_representative_run_is_one() -> None:
    world = batch_of_everything()
    difference = world.merge().difference
    assert difference.added == [NEW]
    assert difference.replaced == [OVER]
    assert sorted(difference.removed) == sorted([GONE, SPOILT])
    assert sorted(difference.rejected) == sorted([BAD, SPOILT])


def test_a_first_commit_asks_for_noarch_wherever_it_was_killed() -> None:
    for fault, world in disturb_everywhere(first_commit):
        assert isinstance(fault, Fault)
        (message,) = world.queue.messages
        request = debounce.parse(message.body)
        assert (request.subdir.name, request.create) == (NOARCH, True)
