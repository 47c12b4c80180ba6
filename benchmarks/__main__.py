"""``python -m benchmarks``: measure, and put what came of it into ``results.json``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks import large, results
from benchmarks.cases import Case, Sample
from benchmarks.conditions import Conditions, load_average, observe
from benchmarks.emulator import cloud
from benchmarks.measures import MEASURES
from benchmarks.processes import leave_in_order_when_terminated
from benchmarks.stage import Bench, Plan, Samples, stage

_VERSIONS = ("boto3", "msgspec", "zstandard", "py-rattler", "ministack")
_SIZES = (1_000, 10_000)
_TAKE_OVER = "take-over"
_ON_THEIR_OWN = frozenset({"import", "index"})
"""Those that begin with buckets of packages that nobody has indexed."""


def main() -> None:
    """Measure as the command line says; what is measured is kept as soon as it is."""
    arguments = _arguments()
    leave_in_order_when_terminated()
    started = time.monotonic()
    conditions = _observe()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="sluice-benchmark-") as folder,
        (arguments.log or Path(folder) / "subjects.log").open("wb") as log,
        cloud(Path(folder)) as aws,
    ):
        bench = Bench(aws, Path(folder), log, say)
        found: dict[Case, list[Sample]] = defaultdict(list)
        for case, sample in _measure(bench, arguments):
            found[case].append(sample)
            kept = results.read(arguments.output)
            kept.take(case, conditions, found[case])
            results.write(arguments.output, kept)


def _measure(bench: Bench, arguments: argparse.Namespace) -> Samples:
    plan = Plan(arguments.runs, arguments.import_max)
    for size in arguments.packages:
        with stage(bench, size) as prepared:
            wanted = set(arguments.operations)
            if not wanted <= _ON_THEIR_OWN:
                wanted.add(_TAKE_OVER)
            for operation, measure in MEASURES.items():
                if operation in wanted:
                    yield from measure(prepared, plan)
    if arguments.large_mib:
        yield from large.measure(bench, arguments.large_mib)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--packages", type=int, nargs="*", default=_SIZES, help="channel sizes")
    parser.add_argument("--runs", type=int, default=3, help="measured runs per case")
    parser.add_argument(
        "--operations",
        nargs="*",
        default=list(MEASURES),
        choices=list(MEASURES),
        help="what to measure; a channel is taken over for all but import and index",
    )
    parser.add_argument(
        "--import-max",
        type=int,
        default=10_000,
        help="import and reconcile channels of so many packages, at most",
    )
    parser.add_argument(
        "--large-mib", type=int, default=1024, help="size of a large package; 0 leaves it out"
    )
    parser.add_argument("--output", type=Path, default=results.PATH)
    parser.add_argument("--log", type=Path, help="keep what the subjects print")
    return parser.parse_args()


def _observe() -> Conditions:
    command = " ".join(["python", "-m", "benchmarks", *sys.argv[1:]])
    return observe(command=command, load_before=load_average(), packages=_VERSIONS)


if __name__ == "__main__":
    main()
