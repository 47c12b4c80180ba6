"""``python -m benchmarks``: measure, and put what came of it into ``results.json``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks import first_index, large, results
from benchmarks.cases import Case, Sample
from benchmarks.emulator import cloud
from benchmarks.measures import MEASURES, ON_THEIR_OWN
from benchmarks.processes import leave_in_order_when_terminated, progress
from benchmarks.stage import Bench, Measurements, stage

_VERSIONS = ("boto3", "msgspec", "zstandard", "py-rattler", "ministack")


def main() -> None:
    """Measure as the command line says; what is measured is kept as soon as it is."""
    arguments = _arguments()
    leave_in_order_when_terminated()
    conditions = results.observe(
        " ".join(["python", "-m", "benchmarks", *sys.argv[1:]]), *_VERSIONS
    )

    with (
        tempfile.TemporaryDirectory(prefix="sluice-benchmark-") as folder,
        (arguments.log or Path(folder) / "subjects.log").open("wb") as log,
        cloud(Path(folder)) as aws,
    ):
        bench = Bench(aws, Path(folder), log, progress())
        samples: dict[Case, list[Sample]] = defaultdict(list)
        for case, sample in _measure(bench, arguments):
            samples[case].append(sample)
            kept = results.read(arguments.output)
            kept.take(case, conditions, samples[case])
            results.write(arguments.output, kept)


def _measure(bench: Bench, arguments: argparse.Namespace) -> Measurements:
    for size in arguments.packages:
        wanted = set(arguments.operations)
        if size > arguments.import_max:
            wanted -= ON_THEIR_OWN
        if wanted - ON_THEIR_OWN:
            wanted.add("take-over")
        with stage(bench, size, arguments.runs) as prepared:
            for operation in filter(wanted.__contains__, MEASURES):
                yield from MEASURES[operation](prepared)
    if arguments.large_mib:
        yield from large.measure(bench, arguments.large_mib)
    sizes = first_index.Sizes(
        large=arguments.index_large,
        seaweedfs=arguments.seaweedfs,
        seaweedfs_large=arguments.seaweedfs_large,
    )
    yield from first_index.measure(bench.cloud, bench.log, bench.say, sizes, arguments.runs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--packages", type=int, nargs="*", default=(1_000, 10_000), help="channel sizes")
    add("--runs", type=int, default=3, help="measured runs per case")
    chosen = "what to measure; a channel is taken over for all but import and index"
    add("--operations", nargs="*", default=list(MEASURES), choices=list(MEASURES), help=chosen)
    largest = "import and index by hand channels of so many packages, at most"
    add("--import-max", type=int, default=10_000, help=largest)
    add("--large-mib", type=int, default=1024, help="size of a large package; 0 leaves it out")
    first = "packages of 4 MiB that sluice index and rattler-index index first; 0 leaves them out"
    add("--index-large", type=int, default=300, help=first)
    add("--seaweedfs", type=int, default=2_000, help="tiny packages that they do on SeaweedFS")
    add("--seaweedfs-large", type=int, default=200, help="packages of 4 MiB that they do there")
    add("--output", type=Path, default=results.PATH)
    add("--log", type=Path, help="keep what the subjects print")
    return parser.parse_args()


if __name__ == "__main__":
    main()
