"""What is measured, and what it takes: plain data, as ``results.json`` keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from benchmarks.worker import TIMEOUTS_SECONDS, Usage
from testkit.counts import Count

SLUICE = "sluice"
COLD_START = "cold-start-"
"""What the operation of a cold start begins with; the function's name follows."""
TYPICAL_LATENCY_MS = 15.0
"""About what S3 takes inside its region."""


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """What is measured, several times."""

    operation: str
    packages: int
    """In the channel."""
    latency_ms: float
    """Added to each request."""
    subject: str
    temperature: str
    """``cold`` in new processes, ``warm`` in ones that have done the same before."""

    def __str__(self) -> str:
        return f"{self.operation}, {self.packages:,} packages, {self.latency_ms:g} ms, {self.who}"

    @property
    def who(self) -> str:
        """The subject, and whether its process was new where there is a choice."""
        return f"{self.subject}, {self.temperature}" if self.subject == SLUICE else self.subject


@dataclass(frozen=True, slots=True)
class Work:
    """What one function, or one tool, took for a change: all its runs together."""

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
    def of(cls, *usages: Usage) -> Work:
        """Add up runs of one process."""
        return cls(
            runs=len(usages),
            wall_s=sum(usage.wall_s for usage in usages),
            cpu_s=sum(usage.cpu_s for usage in usages),
            peak_mib=max(usage.peak_mib for usage in usages),
            longest_s=max(usage.wall_s for usage in usages),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A case measured once."""

    works: Mapping[str, Work]
    """By the name of the process."""
    init_s: float
    """Wall seconds that the processes took to import what they need."""
    requests: Mapping[str, Count]
    """By service and operation."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Bytes of each index file afterwards, by filename."""
    visible_s: Mapping[str, float] = field(default_factory=dict)
    """By filename: seconds until its last write was answered, since its writer began."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """Further numbers of this change."""
    after_s: float = 0.0
    """Wall seconds that passed in the processes after the last index file was written."""

    @property
    def wall_s(self) -> float:
        """Seconds, one process after the other, until the last index file is written.

        What the processes do after that, nobody waits for: a message is handed back until its
        window ends, and then nothing is left to merge.  Its CPU seconds and requests are counted.
        """
        return sum(work.wall_s for work in self.works.values()) - self.after_s

    @property
    def cpu_s(self) -> float:
        """Seconds of user and system time."""
        return sum(work.cpu_s for work in self.works.values())

    @property
    def peak_mib(self) -> float:
        """Of the largest process."""
        return max(work.peak_mib for work in self.works.values())

    @property
    def over_time(self) -> bool:
        """Whether Lambda would have stopped one of the functions before it was done."""
        return any(
            work.longest_s > TIMEOUTS_SECONDS.get(name, inf) for name, work in self.works.items()
        )

    @property
    def s3(self) -> Count:
        """All requests to S3 together."""
        counts = [count for name, count in self.requests.items() if name.startswith("s3:")]
        return Count(
            sum(count.requests for count in counts),
            sum(count.bytes_up for count in counts),
            sum(count.bytes_down for count in counts),
        )


Samples = Sequence[Sample]
