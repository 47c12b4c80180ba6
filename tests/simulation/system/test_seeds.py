"""People, functions, faults and time in any order: the index comes to be right."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.system.seeds import simulate

SEEDS = 800  # make simulate plays more


def test_whatever_happens_the_index_comes_to_be_what_a_full_index_would_be() -> None:
    failures = list(filter(None, simulate(range(SEEDS), jobs=os.cpu_count() or 1)))
    assert not failures, "\n".join(map(str, failures))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_replays_to_the_letter_in_another_process(seed: int) -> None:
    told = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", str(seed)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": hashes},
            capture_output=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(told) == 1
    assert b"PutObject" in told.pop()
