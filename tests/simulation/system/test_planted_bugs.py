"""The simulation can fail: each bug, planted on purpose, shows in the seed that a hunt found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.system import hunt
from tests.simulation.system.bugs import BUGS
from tests.simulation.system.hunt import HUNT_AGAIN, Find, play_with, record, recorded
from tests.simulation.system.seeds import Failure


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_shows(bug: str) -> None:
    seed = recorded().get(bug)
    assert seed is not None, f"no seed is known to show it; hunt for one: {HUNT_AGAIN}"
    find = play_with(bug, [seed])
    failures = [failure.what for failure in find.others]
    assert find.seed == seed, (
        f"seed {seed} does not show it, but {failures or 'passes'}. "
        f"If what seeds play has changed, hunt again: {HUNT_AGAIN}"
    )


def test_a_hunt_for_some_bugs_leaves_the_others_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third, *_ = BUGS
    monkeypatch.setattr(hunt, "_TABLE", tmp_path / "table.json")
    (tmp_path / "table.json").write_text(f'{{"a bug of before": 1, "{second}": 2, "{third}": 3}}')
    record([Find(first, 4, []), Find(second, None, [])])
    assert recorded() == {first: 4, third: 3}


def test_a_seed_that_fails_in_another_way_does_not_show_a_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bug = "the head is written without a condition"
    other, shown = Failure(0, "another"), Failure(2, "the head of a/noarch went from 2 to 1")
    monkeypatch.setattr(hunt, "outcome", [other, None, shown].__getitem__)
    assert play_with(bug, range(3)) == Find(bug, 2, [other])
    find = play_with(bug, range(2))
    assert str(find).startswith(f"NOT FOUND: {bug}\n  seed 0: another")
