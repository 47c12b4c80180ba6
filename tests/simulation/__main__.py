"""Play seeds of the whole system, or hunt for planted bugs: ``python -m tests.simulation``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime

from tests.simulation.system.bugs import BUGS
from tests.simulation.system.hunt import SEEDS_MAX, Find, hunt, record
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
    parser.add_argument(
        "--seed", type=int, nargs="+", help="play these and tell everything that happens"
    )
    parser.add_argument(
        "--hunt",
        nargs="*",
        metavar="NAME",
        help=f"hunt for planted bugs, each in at most {SEEDS_MAX} seeds: for those of which the "
        "name contains one of these, or for all",
    )
    parser.add_argument(
        "--write", action="store_true", help="keep the seeds that --hunt finds for the tests"
    )
    arguments = parser.parse_args()
    if arguments.seed is not None:
        for seed in arguments.seed:
            play(seed, print)
        return 0
    if arguments.hunt is not None:
        bugs = [bug for bug in BUGS if any(part in bug for part in arguments.hunt or [""])]
        if not bugs:
            parser.error(f"no planted bug is called like {arguments.hunt}")
        return _hunt(bugs, jobs=arguments.jobs, writes=arguments.write)
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


def _hunt(bugs: list[str], *, jobs: int, writes: bool) -> int:
    print(f"hunting {len(bugs)} planted bugs", flush=True)
    began = time.monotonic()
    finds: list[Find] = []
    for find in hunt(bugs, jobs=jobs):
        finds.append(find)
        print(find, flush=True)
    if writes:
        record(finds)
    missing = sum(find.seed is None for find in finds)
    took = time.monotonic() - began
    print(f"{len(finds)} planted bugs, in {took:.0f} s on {jobs} processes: {missing} not found")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
