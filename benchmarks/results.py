"""``results.json``: everything that was measured, raw, each case with the run that measured it.

A run replaces the cases that it measures anew and leaves the others, so that large channels can
be measured by themselves, and another day.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.cases import Case, Sample
from benchmarks.markdown import table
from testkit.child_process import ROOT

PATH = Path(__file__).with_name("results.json")
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where, when and with what something was measured."""

    date: str
    commit: str
    machine: str
    load_before: float
    """Processes that ran or waited to, on average over the last five minutes."""
    system: str
    versions: Mapping[str, str]
    command: str

    def table(self) -> str:
        """All of it as Markdown."""
        load = f"{self.load_before:.1f} processes on average in the last five minutes"
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        rows = [["", ""], ["Date", self.date], ["Commit", self.commit], ["Machine", self.machine]]
        rows += [["Load before", load], ["System", self.system], ["Versions", versions]]
        return table([*rows, ["Command", f"`{self.command}`"]])


@dataclass(slots=True)
class Measured:
    """A case and its samples."""

    case: Case
    run: str
    """See ``Results.runs``."""
    samples: list[Sample]


@dataclass(slots=True)
class Results:
    """All cases, and the runs that they come from."""

    format: int = FORMAT
    runs: dict[str, Conditions] = field(default_factory=dict)
    """By their date."""
    cases: list[Measured] = field(default_factory=list)

    def of(self, *operations: str) -> list[Measured]:
        """The cases of some operations."""
        return [one for one in self.cases if one.case.operation in operations]

    def samples(self, case: Case) -> list[Sample]:
        """What was measured of a case; empty where nothing was."""
        return next((one.samples for one in self.cases if one.case == case), [])

    def take(self, case: Case, conditions: Conditions, samples: Sequence[Sample]) -> None:
        """Put a case in place of what was measured of it before."""
        self.runs[conditions.date] = conditions
        self.cases = [one for one in self.cases if one.case != case]
        self.cases.append(Measured(case, conditions.date, list(samples)))
        self.cases.sort(key=lambda one: one.case)
        used = {one.run for one in self.cases}
        self.runs = {date: self.runs[date] for date in sorted(used)}


def read(path: Path) -> Results:
    """What was measured so far; nothing where there is no such file."""
    if not path.exists():
        return Results()
    results = msgspec.json.decode(path.read_bytes(), type=Results)
    if results.format != FORMAT:
        raise RuntimeError(f"{path.name} is of format {results.format}, this knows {FORMAT}")
    return results


def write(path: Path, results: Results) -> None:
    """Keep everything, for people to read and git to compare."""
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    new.replace(path)


def observe(command: str, *packages: str) -> Conditions:
    """The conditions before a run; ``packages`` are those whose versions matter."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    git = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return Conditions(
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        commit=commit.strip(),
        machine=f"{_processor()}, {os.cpu_count()} CPUs, {memory_gib:.0f} GiB",
        load_before=os.getloadavg()[1],
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
