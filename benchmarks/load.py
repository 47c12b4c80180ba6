"""``python -m benchmarks.load``: a burst into the whole local stack, judged and reported.

Writes ``results-load.md``.  Exits with 1 where a package was lost, anything was left behind or
the functions needed more S3 requests than they may.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median, quantiles

from benchmarks.burst import SUBDIRS, Outcome, measure, problems
from benchmarks.conditions import load_average, observe
from benchmarks.markdown import Table, table
from local.stack import run_stack
from tests.support.deployed import Channel, Deployed

RESULTS = Path(__file__).with_name("results-load.md")
_DEBOUNCE_SECONDS = 10
"""The template's default."""
_PACKAGES = ("boto3", "msgspec", "zstandard", "ministack")


def main() -> int:
    """Measure as the command line says; returns the exit status."""
    arguments = _arguments()
    started, load = time.monotonic(), load_average()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="sluice-load-") as folder,
        run_stack(Path(folder), debounce_seconds=_DEBOUNCE_SECONDS, say=say) as stack,
    ):
        deployed = Deployed(stack)
        deployed.wait_until_quiet()  # S3 has sent its test event
        outcome = measure(
            Channel(deployed, "load"),
            arguments.packages,
            arguments.subdirs,
            seconds_max=arguments.minutes_max * 60,
            say=say,
        )
        extracts_ms = deployed.durations_ms(stack.extract_function)
        errors = deployed.errors()
    body = f"{_totals(outcome, extracts_ms, errors)}\n\n## Requests\n\n{_operations(outcome)}"
    print(body)
    arguments.output.write_text(f"{_preface(arguments, load)}\n\n## Outcome\n\n{body}\n")
    found = problems(outcome)
    for line in [*found, *errors]:
        print(line, file=sys.stderr)
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--packages", type=int, default=10_000)
    parser.add_argument("--subdirs", type=int, default=5, choices=range(1, len(SUBDIRS) + 1))
    parser.add_argument("--minutes-max", type=float, default=60, help="give up after so long")
    parser.add_argument("--output", type=Path, default=RESULTS)
    return parser.parse_args()


def _preface(arguments: argparse.Namespace, load: float) -> str:
    command = f"make load PACKAGES={arguments.packages} SUBDIRS={arguments.subdirs}"
    return (
        "# Load test results\n\n"
        "Written by `make load`; what each number means stands in [README.md](README.md).\n\n"
        + observe(command=command, load_before=load, packages=_PACKAGES).table()
    )


def _totals(outcome: Outcome, extracts_ms: list[float], errors: list[str]) -> str:
    wrote = [line["duration_ms"] for line in outcome.merges if line["files_written"]]
    found_nothing = [line["duration_ms"] for line in outcome.merges if not line["files_written"]]
    rows: Table = [
        ["", ""],
        ["Packages", f"{outcome.packages:,} over {outcome.subdirs} subdirs"],
        ["Lost", f"{len(outcome.lost):,}"],
        *([f"Left in {where}", f"{depth:,}"] for where, depth in outcome.left.items()),
        ["Errors logged", f"{len(errors):,}"],
        ["Uploaded within", f"{outcome.uploaded_s:.0f} s"],
        ["Indexed within", f"{outcome.indexed_s:.0f} s"],
        ["Generations", f"{sum(outcome.generations.values()):,}"],
        ["S3 requests per package", f"{outcome.s3_requests_per_package:.2f}"],
        ["Extract, ms", _durations(extracts_ms)],
        ["Merges that published, ms", _durations(wrote)],
        ["Merges with nothing to do, ms", _durations(found_nothing)],
    ]
    return table(rows)


def _operations(outcome: Outcome) -> str:
    rows: Table = [["Operation", "Requests", "Per package"]]
    rows += [
        [name, f"{count.requests:,}", f"{count.requests / outcome.packages:.3f}"]
        for name, count in sorted(outcome.requests.items())
    ]
    return table(rows)


def _durations(values: Iterable[float]) -> str:
    ordered = sorted(values)
    if len(ordered) < 2:
        return ", ".join(f"{value:,.0f}" for value in ordered) or "none"
    p95 = quantiles(ordered, n=20, method="inclusive")[-1]
    return (
        f"median {median(ordered):,.0f}, p95 {p95:,.0f}, most {ordered[-1]:,.0f} "
        f"({len(ordered):,} of them)"
    )


if __name__ == "__main__":
    sys.exit(main())
