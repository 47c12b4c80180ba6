"""One FIFO queue of SQS in memory, as far as debouncing goes: what was sent, what was dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

DEDUPLICATION_SECONDS = 300
"""Counted from the send, also after the message was consumed (SQS developer guide)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message that the queue accepted."""

    body: str
    group: str
    deduplication_id: str


class MemoryQueue:
    """``FifoQueue`` in memory; ``messages`` may be consumed by the test."""

    def __init__(self, clock: Callable[[], float] = lambda: 1_700_000_000) -> None:
        self.messages: list[Message] = []
        self.dropped: list[Message] = []
        self.visibility: list[tuple[str, int]] = []
        self.before: Callable[[str], None] = lambda _operation: None
        self._clock = clock
        self._sent_at: dict[str, float] = {}

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """See ``FifoQueue.send``."""
        self.before("SendMessage")
        message = Message(body, group, deduplication_id)
        sent_at = self._sent_at.get(deduplication_id)
        if sent_at is not None and self._clock() - sent_at < DEDUPLICATION_SECONDS:
            self.dropped.append(message)
            return
        self._sent_at[deduplication_id] = self._clock()
        self.messages.append(message)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``FifoQueue.change_visibility``."""
        self.before("ChangeMessageVisibility")
        self.visibility.append((receipt_handle, seconds))
