"""An executor that runs a task when its result is wanted: as late as a thread may run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sluice.concurrency import Executor, InOrder, Pending

R = TypeVar("R")


class _Deferred(InOrder):
    def submit(self, function: Callable[[], R], /) -> Pending[R]:
        results: list[R] = []

        def result() -> R:
            if not results:
                results.append(function())
            return results[0]

        return result


deferred: Executor = _Deferred()
