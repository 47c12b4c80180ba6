"""A merge that dies, or loses an answer, at any of its requests: the retry completes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice.conda.names import NOARCH
from sluice.messages import merge_request
from testkit.scheduler import Killed
from tests.simulation.faults import Fault, disturb_everywhere
from tests.simulation.stories import (
    BAD,
    GONE,
    NEW,
    OVER,
    SPOILT,
    batch_of_everything,
    first_commit,
    first_commit_over_foreign,
    nothing_new,
)
from tests.simulation.world import World


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
        request = merge_request.parse_merge_request(message.body)
        assert (request.subdir.name, request.create) == (NOARCH, True)
