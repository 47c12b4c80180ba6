"""Queues of SQS in memory, as far as debouncing goes: what was sent, dropped or refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sluice.concurrency import chunks
from sluice.errors import Unavailable
from sluice.limits import MESSAGES_PER_BATCH_MAX
from testkit.memory_store import Clock, Hook, LostAnswer, ignore

DEDUPLICATION_SECONDS = 300
"""Counted from the send, also after the message was consumed (SQS developer guide)."""


# SendMessage: "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF".
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Message:
    """One message that the queue accepted."""

    body: str
    group: str
    deduplication_id: str


class MemoryQueue:
    """``FifoQueue`` in memory; ``messages`` may be consumed by the test."""

    def __init__(self, clock: Clock = lambda: 1_700_000_000) -> None:
        self.messages: list[Message] = []
        self.dropped: list[Message] = []
        self.visibility: list[tuple[str, int]] = []
        self.before: Hook = ignore
        self.after: Hook = ignore
        self._clock = clock
        self._sent_at: dict[str, float] = {}

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """See ``FifoQueue.send``."""
        with self._request("SendMessage", group):
            _check(body)
            self._take(Message(body, group, deduplication_id))

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``FifoQueue.change_visibility``."""
        with self._request("ChangeMessageVisibility", receipt_handle):
            self.visibility.append((receipt_handle, seconds))

    @contextmanager
    def _request(self, operation: str, key: str) -> Iterator[None]:
        try:
            self.before(operation, key)
            yield
            self.after(operation, key)
        except LostAnswer as error:
            raise Unavailable(f"{operation} {key}: no answer") from error

    def _take(self, message: Message) -> None:
        sent_at = self._sent_at.get(message.deduplication_id)
        if sent_at is not None and self._clock() - sent_at < DEDUPLICATION_SECONDS:
            self.dropped.append(message)
            return
        self._sent_at[message.deduplication_id] = self._clock()
        self.messages.append(message)


class MemoryFeed:
    """``UploadQueue`` and ``FairQueue`` in memory; ``bodies`` may be consumed by the test."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.tenants: list[str] = []
        """Of all messages that were sent for one."""
        self.visibility: list[tuple[str, int]] = []
        self.before: Hook = ignore
        self.after: Hook = ignore

    def send_all(self, bodies: Sequence[str]) -> None:
        """See ``UploadQueue.send_all``."""
        for batch in chunks(bodies, MESSAGES_PER_BATCH_MAX):
            try:
                self.before("SendMessageBatch", "")
                for body in batch:
                    _check(body)
                self.bodies += batch
                self.after("SendMessageBatch", "")
            except LostAnswer as error:
                raise Unavailable("SendMessageBatch: no answer") from error

    def send_for(self, tenant: str, body: str) -> None:
        """See ``FairQueue.send_for``."""
        try:
            self.before("SendMessage", tenant)
            _check(body)
            self.bodies.append(body)
            self.tenants.append(tenant)
            self.after("SendMessage", tenant)
        except LostAnswer as error:
            raise Unavailable(f"SendMessage {tenant}: no answer") from error

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``MessageQueue.change_visibility``."""
        self.visibility.append((receipt_handle, seconds))


def _check(body: str) -> None:
    if _FORBIDDEN.search(body):
        raise Unavailable("InvalidMessageContents")
