"""``python -m benchmarks``: measure, print the tables and write ``results.md``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import large, report, uploads
from benchmarks.conditions import conditions, load_average
from benchmarks.emulator import cloud

RESULTS = Path(__file__).with_name("results.md")
_PACKAGES = ("boto3", "msgspec", "zstandard", "py-rattler", "ministack")
_LATENCIES_MS = (15.0, 0.0)
_SIZES = (1_000, 10_000)


def main() -> None:
    """Measure as the command line says."""
    arguments = _arguments()
    started, load = time.monotonic(), load_average()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="sluice-benchmark-") as folder,
        (arguments.log or Path(folder) / "subjects.log").open("wb") as log,
        cloud(Path(folder)) as aws,
    ):
        bench = uploads.Bench(aws, Path(folder), log, say)
        plan = uploads.Plan(_LATENCIES_MS, arguments.runs)
        samples = [
            sample for size in arguments.packages for sample in uploads.measure(bench, size, plan)
        ]
        readings = list(large.measure(bench, arguments.large_mib)) if arguments.large_mib else []
    sections = [
        ("One upload", report.uploads(samples)),
        ("How much less", report.ratios(samples)),
        ("The handlers by themselves", report.steps(samples)),
        ("Requests by operation", report.operations(samples)),
        ("Published files", report.published(samples)),
    ]
    if readings:
        sections.append(("One large package", report.large(readings, arguments.large_mib)))
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)
    print(body)
    arguments.output.write_text(f"{_preface(arguments, load)}\n\n{body}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--packages", type=int, nargs="*", default=_SIZES, help="channel sizes")
    parser.add_argument("--runs", type=int, default=5, help="measured runs per case")
    parser.add_argument(
        "--large-mib", type=int, default=1024, help="size of the large package; 0 leaves it out"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--log", type=Path, help="keep what the subjects print")
    return parser.parse_args()


def _preface(arguments: argparse.Namespace, load: float) -> str:
    sizes = " ".join(map(str, arguments.packages))
    command = (
        f"python -m benchmarks --packages {sizes} --runs {arguments.runs} "
        f"--large-mib {arguments.large_mib}"
    )
    return (
        "# Benchmark results\n\n"
        "Written by `make bench`; what each number means stands in [README.md](README.md).\n\n"
        + conditions(
            command=f"`make bench`, which runs `{command}`", load_before=load, packages=_PACKAGES
        )
    )


if __name__ == "__main__":
    main()
