"""The only clock of a simulated world, and what is due in it later."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START_MS = 1_750_000_000_000


class Clock:
    """Milliseconds since the epoch; moves only when it is told to."""

    def __init__(self) -> None:
        self.ms = START_MS
        self._due: list[tuple[int, int, Callable[[], object]]] = []
        self._order = count()

    def seconds(self) -> float:
        """What S3 and SQS go by."""
        return self.ms / 1000

    def after(self, delay_ms: int, happens: Callable[[], object]) -> None:
        """Let something happen by itself, once the time has come."""
        heapq.heappush(self._due, (self.ms + delay_ms, next(self._order), happens))

    def advance(self, by_ms: int) -> None:
        """Let time pass, and what is due happen at its own time."""
        end = self.ms + by_ms
        while self._due and self._due[0][0] <= end:
            at, _, happens = heapq.heappop(self._due)
            self.ms = max(self.ms, at)
            happens()
        self.ms = end

    def next_due(self) -> int | None:
        """When the next thing happens by itself."""
        return self._due[0][0] if self._due else None
