"""What one function, or one tool, took for a change: of all its invocations together.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.worker import Usage


@dataclass(frozen=True, slots=True)
class Work:
    """Some runs of one process."""

    runs: int
    wall_s: float
    """Seconds, one run after the other; what passes between them is not counted."""
    cpu_s: float
    """Seconds of user and system time."""
    peak_mib: float
    """Of the process by the end of the last run."""
    longest_s: float
    """Wall seconds of the run that took longest."""

    @classmethod
    def of(cls, usages: Sequence[Usage]) -> Work:
        """Add up runs of one process."""
        return cls(
            runs=len(usages),
            wall_s=sum(usage.wall_s for usage in usages),
            cpu_s=sum(usage.cpu_s for usage in usages),
            peak_mib=max(usage.peak_mib for usage in usages),
            longest_s=max(usage.wall_s for usage in usages),
        )


@dataclass(frozen=True, slots=True)
class Indexed:
    """What indexing a change took."""

    works: dict[str, Work]
    """By the name of the process."""
    started: float
    """When the process that publishes began, on the machine's monotonic clock."""

    @property
    def wall_s(self) -> float:
        """Seconds, one process after the other; what passes between them is not counted."""
        return sum(work.wall_s for work in self.works.values())
