"""Metrics and log lines as values, so that they can be tested without CloudWatch and a logger."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Level = Literal["debug", "info", "warning", "error"]

SHARED = {"service": "sluice"}
"""The dimensions of a metric that several functions send, because one alarm watches all of it."""


class Metric(NamedTuple):
    """One value of a metric."""

    name: str
    value: int
    unit: str = "Count"
    """As CloudWatch has it."""


class LogLine(NamedTuple):
    """One line of a function's log."""

    level: Level
    message: str
    fields: dict[str, Any]
