"""Play seeds of the whole system: ``python -m tests.simulation [--seeds N | --seed N]``."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.simulation.system.play import play
from tests.simulation.system.seeds import Failure, simulate


def main() -> int:
    """Tell how it went; 0 where nothing was found wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="play this one and tell everything that happens")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        play(arguments.seed, print)
        return 0
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    return _play_all(seeds, jobs=arguments.jobs)


def _play_all(seeds: range, *, jobs: int) -> int:
    began = told = time.monotonic()
    failures: list[Failure] = []
    for done, failure in enumerate(simulate(seeds, jobs=jobs), start=1):
        if failure:
            failures.append(failure)
            print(failure, flush=True)
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"{done} of {len(seeds)} seeds, {len(failures)} violations", flush=True)
    took = time.monotonic() - began
    print(
        f"{len(seeds)} seeds in {took:.0f} s ({len(seeds) / took:.0f}/s on {jobs} processes): "
        f"{len(failures)} violations"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
