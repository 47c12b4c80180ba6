"""What everything that changes a channel depends on: two buckets, a queue, an executor, a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sluice.concurrency import Executor
from sluice.storage.object_store import ObjectStore
from sluice.storage.queue import FifoQueue

Clock = Callable[[], int]
"""Tells the time, in ms since the epoch."""
NewId = Callable[[], str]
"""Returns a string that it never returns again, nor does any other process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The dependencies that all have in common; each function's context adds its own."""

    channel: ObjectStore
    """The channel bucket."""
    state: ObjectStore
    """The state bucket."""
    merge_queue: FifoQueue
    executor: Executor
    """Sends requests, several at once."""
    clock: Clock
    new_id: NewId
    debounce_seconds: int
