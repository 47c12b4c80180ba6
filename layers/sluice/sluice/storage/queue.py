"""What sluice asks of its queues: two operations of a FIFO queue, one of a standard queue.

``sqs_queue.py`` implements them with boto3, ``testkit/memory_queue.py`` in memory.

Errors: whatever keeps the queue from doing its part is ``Unavailable``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec


def encode_message(message: Any) -> str:
    """Serialise a message, in ASCII.

    It may hold any key, and SQS refuses some characters that S3 takes (U+FFFF, say).
    """
    return json.dumps(msgspec.to_builtins(message), separators=(",", ":"))


class MessageQueue(Protocol):
    """Any queue, from the side of the function that handles its messages.

    Receiving and deleting is Lambda's event source mapping's business.
    """

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Deliver a received message again ``seconds`` from now; a FIFO group waits until then."""
        ...


class FifoQueue(MessageQueue, Protocol):
    """One FIFO queue, from the side of those who feed and handle it."""

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """Ask for one delivery.

        The queue drops it silently where it was sent the same ``deduplication_id`` within the
        last five minutes, whether or not that message is still in the queue: that is the
        debounce, and what makes sending again after a lost answer harmless.
        """
        ...


class UploadQueue(Protocol):
    """UploadQueue, from the side of who tells it of packages that no event has told of."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Send each body as a message of its own.

        Where that fails, any of them may have been sent, some perhaps twice.
        """
        ...


class NoQueue:
    """``FifoQueue`` that drops what it is sent: there is no stack that would handle it."""

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """See ``FifoQueue.send``."""

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``FifoQueue.change_visibility``."""
