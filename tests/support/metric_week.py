"""A week of a stack's metrics, as CloudWatch sums them up for an alarm."""

from __future__ import annotations

from collections import defaultdict
from math import ceil

from local.monitoring import Metric

MINUTES = 7 * 24 * 60
HOUR = 60
DAY = 24 * HOUR


class MetricWeek:
    """The values that were sent of each metric, by the minute."""

    def __init__(self) -> None:
        """Nothing was sent."""
        self._sent: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )

    def send(self, name: str, of: str, value: float, *, at: float) -> None:
        """One value; ``at``: the minute of the week."""
        if 0 <= at < MINUTES:
            self._sent[name, of][int(at)].append(value)

    def send_each(
        self, name: str, of: str, value: float, *, minutes: float, start: float, end: float
    ) -> None:
        """One value every so many minutes."""
        for step in range(ceil((end - start) / minutes)):
            self.send(name, of, value, at=start + step * minutes)

    def forget(self, name: str, of: str, *, since: int) -> None:
        """Lose all values from some minute on."""
        values = self._sent[name, of]
        self._sent[name, of] = defaultdict(
            list, {at: sent for at, sent in values.items() if at < since}
        )

    def points(self, metric: Metric, period_seconds: int) -> list[float | None]:
        """The data point of each period; ``None`` where nothing was sent."""
        minutes = period_seconds // 60
        by_minute = self._sent[metric.name, metric.of]
        periods = [
            [value for at in range(start, start + minutes) for value in by_minute.get(at, ())]
            for start in range(0, MINUTES, minutes)
        ]
        return [_statistic(metric.stat, values) if values else None for values in periods]


def _statistic(name: str, values: list[float]) -> float:
    match name:
        case "Sum":
            return sum(values)
        case "Maximum":
            return max(values)
        case "p95":
            return sorted(values)[ceil(0.95 * len(values)) - 1]
    raise AssertionError(f"a statistic that no test knows: {name}")
