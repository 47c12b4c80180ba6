"""The simulation can fail: each bug, planted on purpose, is found before long."""

from __future__ import annotations

import re

import pytest

from tests.simulation.system.bugs import BUGS, Bug
from tests.simulation.system.play import play

SEEDS_MAX = 3000  # the rarest is found in one of 200


@pytest.mark.parametrize("bug", [pytest.param(bug, id=name) for name, bug in BUGS.items()])
def test_a_planted_bug_is_found(bug: Bug) -> None:
    with bug.plant():
        found = next(filter(None, map(violation, range(SEEDS_MAX))), None)
    assert found, f"not found in {SEEDS_MAX} seeds"
    assert re.search(bug.shows, found)


def violation(seed: int) -> str | None:
    try:
        play(seed)
    except AssertionError as error:
        return str(error)
    return None
