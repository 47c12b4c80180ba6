"""The dependencies that all code that changes a channel shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sluice.concurrency import Executor
from sluice.conda.timestamps import Clock
from sluice.storage.object_store import ObjectStore
from sluice.storage.queue import FifoQueue

NewId = Callable[[], str]
"""A generator of ids: no process ever returns the same string twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The common dependencies; each function's context adds its own."""

    channel: ObjectStore
    """The channel bucket."""
    state: ObjectStore
    """The state bucket."""
    merge_queue: FifoQueue
    executor: Executor
    """Runs requests concurrently."""
    clock: Clock
    new_id: NewId
    debounce_seconds: int
