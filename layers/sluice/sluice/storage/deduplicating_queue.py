"""A FIFO queue that does not send messages that SQS would drop."""

from __future__ import annotations

from dataclasses import dataclass, field

from sluice.conda.timestamps import Clock
from sluice.limits import DEDUPLICATION_IDS_CACHED_MAX
from sluice.storage.queue import FifoQueue

DEDUPLICATION_MS = 5 * 60 * 1000
"""Time for which SQS drops messages with a deduplication id that it already has (SQS Developer
Guide, "Using the message deduplication ID")."""


@dataclass(slots=True)
class DeduplicatingQueue:
    """Remembers the deduplication ids that it sent to ``queue``, and drops repeats.

    In a burst nearly all merge requests are repeats: only one per subdir and window gets through.
    """

    queue: FifoQueue
    clock: Clock
    _sent_at: dict[str, int] = field(default_factory=dict, init=False)

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """See ``FifoQueue.send``."""
        now = self.clock()  # before the send: the queue's own period starts at the send
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
