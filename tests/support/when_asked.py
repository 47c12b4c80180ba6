"""What is started is done when it is asked for: the other end of what threads may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sluice.concurrency import Executor, InOrder, Pending

R = TypeVar("R")


class _WhenAsked(InOrder):
    def submit(self, function: Callable[[], R], /) -> Pending[R]:
        results: list[R] = []

        def result() -> R:
            if not results:
                results.append(function())
            return results[0]

        return result


when_asked: Executor = _WhenAsked()
