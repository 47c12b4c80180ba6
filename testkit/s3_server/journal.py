"""What a server remembers of the requests that it has answered, until somebody takes it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from testkit.counts import Count

_WRITES = frozenset({"s3:PutObject", "s3:CompleteMultipartUpload"})


@dataclass(slots=True)
class Journal:
    """Counts by operation, and when keys were last written."""

    counts: dict[str, Count] = field(default_factory=dict)
    written: dict[str, float] = field(default_factory=dict)
    """By ``<bucket>/<key>``: on the machine's monotonic clock, when the write was answered."""
    first_answer: float | None = None
    """On the same clock: when the first request was answered."""

    def count(self, operation: str) -> Count:
        """What is counted of an operation."""
        return self.counts.setdefault(operation, Count())

    def answered(self, operation: str, path: str, status: int) -> None:
        """Note that a request has been answered."""
        now = time.monotonic()
        if self.first_answer is None:
            self.first_answer = now
        if operation in _WRITES and status < 300:
            self.written[path] = now

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "counts": {name: asdict(count) for name, count in self.counts.items()},
            "written": self.written,
            "first_answer": self.first_answer,
        }
