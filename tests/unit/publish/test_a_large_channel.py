"""A patch for a channel of 10,000 packages, and an ordinary package afterwards."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sluice.publish.outputs import ALL_OUTPUTS
from testkit.published import read_index
from tests.support.subdir_world import World
from tests.unit.publish.patched_noarch import PATCHED, TEAM_NOARCH, put_package, put_patch

PACKAGES, NAMES = 10_000, 2_000


def filename(number: int) -> str:
    return f"name{number % NAMES}-{number // NAMES}.0-0.conda"


def instructions(depends: str) -> dict[str, Any]:
    """What makes every package depend on something else."""
    patched = {filename(number): {"depends": [depends]} for number in range(PACKAGES)}
    return {"patch_instructions_version": 1, "packages.conda": patched}


def puts(world: World) -> Counter[str]:
    """How often each index file was written."""
    written = (key for operation, key in world.channel.operations() if operation == "PutObject")
    return Counter(
        key.rpartition("/")[2] for key in written if key.rpartition("/")[2] in ALL_OUTPUTS
    )


def cost_of_one_more(world: World, name: str) -> int:
    put_package(world, name)
    world.channel.requests.clear()
    world.state.requests.clear()
    world.merge()
    return len(world.channel.requests) + len(world.state.requests)


@pytest.fixture(scope="module")
def large() -> World:
    world = World(subdir=TEAM_NOARCH)
    for number in range(PACKAGES):
        put_package(world, filename(number), depends=["python >=3.9"])
    while world.merge(create=True).unfinished:
        pass
    return world


def test_a_new_patch_is_published_once_by_one_merge_and_costs_four_requests_from_then_on(
    large: World,
) -> None:
    plain = cost_of_one_more(large, "plain-1-0.conda")
    put_patch(large, "1", instructions("first"))
    large.configure(PATCHED)
    large.merge()
    put_patch(large, "2", instructions("second"))
    before = large.head().generation
    large.channel.requests.clear()
    report = large.merge()
    assert (report.unfinished, large.head().generation) == (False, before + 1)
    assert set(puts(large).values()) == {1}
    records = read_index(large.body).records
    patched = [record for name, record in records.items() if name.startswith("name")]
    assert [record["depends"] for record in patched] == [["second"]] * PACKAGES
    assert cost_of_one_more(large, "patched-1-0.conda") == plain + 4
