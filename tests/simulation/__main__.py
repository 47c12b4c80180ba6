"""Play seeds of the whole system: ``python -m tests.simulation [--seeds N | --seed N]``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime

from tests.simulation.system.play import play
from tests.simulation.system.seeds import Failure, simulate

_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_SEEDS_PER_MINUTE = 100_000
"""More than can be played in one, so that two runs in a row have none in common."""


def main() -> int:
    """Tell how it went; 0 where nothing was found wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many to play")
    parser.add_argument(
        "--first",
        type=int,
        help="the first of them; by default one that follows from the time, and was never played",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="play this one and tell everything that happens")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        play(arguments.seed, print)
        return 0
    first = unplayed(datetime.now(UTC)) if arguments.first is None else arguments.first
    return _play_all(range(first, first + arguments.seeds), jobs=arguments.jobs)


def unplayed(now: datetime) -> int:
    """A seed to begin with that nobody has played before.

    What was played, and mended until it passed, passes: it says little about other seeds.
    """
    minutes = int((now - _SINCE).total_seconds() // 60)
    return minutes * _SEEDS_PER_MINUTE


def _play_all(seeds: range, *, jobs: int) -> int:
    played = f"{len(seeds)} seeds, {seeds.start} to {seeds.stop - 1}"
    print(f"playing {played}", flush=True)
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
        f"{played}, in {took:.0f} s ({len(seeds) / took:.0f}/s on {jobs} processes): "
        f"{len(failures)} violations"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
