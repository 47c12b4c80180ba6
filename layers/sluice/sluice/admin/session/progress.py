"""Telling how far a long answer has got, to whoever wants to show it."""

from __future__ import annotations

from enum import Enum
from typing import Protocol


class Step(Enum):
    """What is counted, as people are to read it."""

    LISTED = "listed"
    """Packages that a LIST has shown."""
    READ = "read"
    """Packages that were read."""
    COMMITTED = "committed"
    """Packages whose verdicts are in the catalog."""
    NAMES = "names checked"
    """Package names whose leaf and shard were looked at."""
    HASHED = "hashed"
    """Packages that were hashed from their first byte to their last."""


class Progress(Protocol):
    """Is told of progress, by one thread at a time."""

    def expect(self, step: Step, count: int) -> None:
        """So many more are to be done."""
        ...

    def done(self, step: Step, count: int) -> None:
        """So many more are done."""
        ...


class _NoProgress:
    def expect(self, step: Step, count: int) -> None:
        """Say nothing."""

    def done(self, step: Step, count: int) -> None:
        """Say nothing."""


NO_PROGRESS: Progress = _NoProgress()
"""For whoever just wants the answer."""
