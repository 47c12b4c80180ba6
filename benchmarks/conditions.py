"""Under what conditions something was measured: the first table of every results file."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.markdown import table
from benchmarks.processes import ROOT


def load_average() -> float:
    """Processes that ran or waited to, on average over the last five minutes."""
    return os.getloadavg()[1]


def conditions(*, command: str, load_before: float, packages: Sequence[str]) -> str:
    """Where, when and with what; ``packages`` are those whose versions matter."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    python = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    rows = [
        ["Date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"],
        ["Commit", _git("describe", "--always", "--dirty")],
        ["Machine", f"{_processor()}, {os.cpu_count()} CPUs, {_memory_gib():.0f} GiB"],
        ["Load before", f"{load_before:.1f} processes on average in the last five minutes"],
        ["System", python],
        ["Versions", versions],
        ["Command", command],
    ]
    return table([["", ""], *rows])


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
