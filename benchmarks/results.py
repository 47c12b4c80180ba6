"""``results.json``: everything that was measured, raw, each case with the run that measured it.

A run replaces the cases that it measures anew and leaves the others, so that large channels can
be measured by themselves, and another day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.cases import Case, Sample
from benchmarks.conditions import Conditions

PATH = Path(__file__).with_name("results.json")
FORMAT = 1


@dataclass(slots=True)
class Measured:
    """A case and what it came to."""

    case: Case
    run: str
    """See ``Results.runs``."""
    samples: list[Sample]

    @property
    def median_init_s(self) -> float:
        """Of all samples."""
        return median(sample.init_s for sample in self.samples)


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
    found = msgspec.json.decode(path.read_bytes(), type=Results)
    if found.format != FORMAT:
        raise RuntimeError(f"{path.name} is of format {found.format}, this knows {FORMAT}")
    return found


def write(path: Path, results: Results) -> None:
    """Keep everything, for people to read and git to compare."""
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    new.replace(path)
