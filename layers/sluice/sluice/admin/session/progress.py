"""Progress of long operations, reported to a callback."""

from __future__ import annotations

from enum import Enum
from typing import Protocol


class Step(Enum):
    """The things that are counted, as people read them."""

    LISTED = "listed"
    """Packages that a LIST has shown."""
    READ = "read"
    """Packages that were read."""
    COMMITTED = "committed"
    """Packages whose verdicts are in the catalog."""
    NAMES = "names checked"
    """Package names whose leaf and shard were checked."""
    HASHED = "hashed"
    """Packages that were hashed completely."""


class Progress(Protocol):
    """Receives progress updates, from one thread at a time."""

    def expect(self, step: Step, count: int) -> None:
        """``count`` more are to be done."""
        ...

    def done(self, step: Step, count: int) -> None:
        """``count`` more are done."""
        ...


class _NoProgress:
    def expect(self, step: Step, count: int) -> None:
        """Ignore the update."""

    def done(self, step: Step, count: int) -> None:
        """Ignore the update."""


NO_PROGRESS: Progress = _NoProgress()
"""Ignores all progress."""
