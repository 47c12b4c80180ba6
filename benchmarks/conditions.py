"""Under what conditions something was measured: the first table of every results file."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.markdown import table
from benchmarks.processes import ROOT


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where, when and with what."""

    date: str
    commit: str
    machine: str
    load_before: float
    system: str
    versions: Mapping[str, str]
    command: str

    def table(self) -> str:
        """All of it as Markdown."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        rows = [
            ["Date", self.date],
            ["Commit", self.commit],
            ["Machine", self.machine],
            [
                "Load before",
                f"{self.load_before:.1f} processes on average in the last five minutes",
            ],
            ["System", self.system],
            ["Versions", versions],
            ["Command", f"`{self.command}`"],
        ]
        return table([["", ""], *rows])


def load_average() -> float:
    """Processes that ran or waited to, on average over the last five minutes."""
    return os.getloadavg()[1]


def observe(*, command: str, load_before: float, packages: Sequence[str]) -> Conditions:
    """Look around; ``packages`` are those whose versions matter."""
    return Conditions(
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        commit=_git("describe", "--always", "--dirty"),
        machine=f"{_processor()}, {os.cpu_count()} CPUs, {_memory_gib():.0f} GiB",
        load_before=load_before,
        system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        versions={package: version(package) for package in packages},
        command=command,
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
