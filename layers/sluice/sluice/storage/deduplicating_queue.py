"""A FIFO queue that is not sent what it would drop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sluice.limits import DEDUPLICATION_IDS_CACHED_MAX
from sluice.storage.queue import FifoQueue

DEDUPLICATION_MS = 5 * 60 * 1000
"""For so long SQS drops a message with a deduplication id that it was sent before (SQS Developer
Guide, "Using the message deduplication ID")."""


@dataclass(slots=True)
class DeduplicatingQueue:
    """Remembers which deduplication ids ``queue`` has taken.

    In a burst nearly all requests for merges are such: one per subdir and window gets through.
    """

    queue: FifoQueue
    clock: Callable[[], int]
    """Now, ms since the epoch."""
    _sent_at: dict[str, int] = field(default_factory=dict, init=False)

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """See ``FifoQueue.send``."""
        now = self.clock()  # before the send: the queue remembers from when it takes the message
        last_sent = self._sent_at.get(deduplication_id)
        if last_sent is not None and 0 <= now - last_sent < DEDUPLICATION_MS:
            return
        self.queue.send(body, group=group, deduplication_id=deduplication_id)
        if len(self._sent_at) >= DEDUPLICATION_IDS_CACHED_MAX:
            self._sent_at.clear()
        self._sent_at[deduplication_id] = now

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``FifoQueue.change_visibility``."""
        self.queue.change_visibility(receipt_handle, seconds)
