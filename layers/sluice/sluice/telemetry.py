"""Metrics and log lines as values, which tests can check without CloudWatch and a logger."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from sluice import __version__

Level = Literal["debug", "info", "warning", "error"]

SHARED = {"service": "sluice"}
"""Dimensions of a metric that several functions send, because one alarm watches them all."""

VERSION = __version__
"""In every line of a function's log: during an update two releases write into the same log."""


class Metric(NamedTuple):
    """One value of a metric."""

    name: str
    value: int
    unit: str = "Count"
    """A unit of CloudWatch."""


class LogLine(NamedTuple):
    """One line of a function's log."""

    level: Level
    message: str
    fields: dict[str, Any]
