"""``python -m benchmarks``: measure, print the tables and write ``results.md``."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import large, report, uploads
from benchmarks.emulator import cloud
from benchmarks.processes import ROOT

RESULTS = Path(__file__).with_name("results.md")
_PACKAGES = ("boto3", "msgspec", "zstandard", "py-rattler", "ministack")
_LATENCIES_MS = (15.0, 0.0)
_SIZES = (1_000, 10_000)


def main() -> None:
    """Measure as the command line says."""
    arguments = _arguments()
    started, load = time.monotonic(), os.getloadavg()[1]

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
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    rows = [
        ["Date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"],
        ["Commit", _git("describe", "--always", "--dirty")],
        ["Machine", f"{_processor()}, {os.cpu_count()} CPUs, {_memory_gib():.0f} GiB"],
        ["Load before", f"{load:.1f} processes on average in the last five minutes"],
        ["System", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"],
        ["Versions", versions],
        ["Command", f"`make bench`, which runs `{command}`"],
    ]
    return (
        "# Benchmark results\n\n"
        "Written by `make bench`; what each number means stands in [README.md](README.md).\n\n"
        + report.table([["", ""], *rows])
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip()


if __name__ == "__main__":
    main()
