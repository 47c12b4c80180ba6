"""A state that a stack writes is refused; one that only this machine writes is not."""

from __future__ import annotations

import pytest

from sluice.admin.watch.stack_trace import require_no_stack
from sluice.errors import Misused
from sluice.layout import reconcile_claim_key
from sluice.limits import WATCH_STACK_TRACE_SECONDS
from tests.support.standalone_channel import StandaloneChannel, package


@pytest.fixture
def world() -> StandaloneChannel:
    world = StandaloneChannel()
    world.upload(package("lib"))
    world.index()
    return world


def test_a_state_of_sluice_index_is_no_stacks(world: StandaloneChannel) -> None:
    require_no_stack(world.channel)


def test_a_run_of_a_stacks_reconcile_shows_it(world: StandaloneChannel) -> None:
    world.state.upload(reconcile_claim_key("0" * 64), b"{}")
    with pytest.raises(
        Misused,
        match=r"a stack already indexes .* state-bucket.*--beside-stack",
    ):
        require_no_stack(world.channel)
    world.tick(WATCH_STACK_TRACE_SECONDS + 2)
    require_no_stack(world.channel)  # that stack has been gone for a week


def test_it_costs_one_request(world: StandaloneChannel) -> None:
    before = len(world.state.operations())
    require_no_stack(world.channel)
    assert len(world.state.operations()) - before == 1
