"""The interfaces of the queues: two operations of a FIFO queue, two of a standard queue.

``sqs_queue.py`` implements them with boto3, ``testkit/memory_queue.py`` in memory.

Errors: every failure of a queue is ``Unavailable``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec


def encode_message(message: Any) -> str:
    """Serialize a message as ASCII.

    It may hold any key, and SQS refuses some characters that S3 accepts (for example U+FFFF).
    """
    return json.dumps(msgspec.to_builtins(message), separators=(",", ":"))


class MessageQueue(Protocol):
    """Any queue, as the function that handles its messages sees it.

    Lambda's event source mapping receives and deletes the messages.
    """

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Deliver a received message again in ``seconds``; a FIFO group waits until then."""
        ...


class FifoQueue(MessageQueue, Protocol):
    """A FIFO queue, as its senders and its function see it."""

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """Request one delivery.

        The queue silently drops a message if it got the same ``deduplication_id`` within the last
        five minutes, whether or not that message is still in the queue.  That is the debounce.  It
        also makes sending again after a lost response harmless.
        """
        ...


class FairQueue(MessageQueue, Protocol):
    """A standard queue that shares its consumers fairly among tenants, as its function sees it.

    SQS calls it a fair queue.  Messages of a tenant with many in flight are delivered after
    those of others.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
    """

    def send_for(self, tenant: str, body: str) -> None:
        """Send a message; if that fails, it may have been sent.

        ``tenant`` is a message group: up to 128 ASCII letters, digits and punctuation marks.
        """
        ...


class UploadQueue(Protocol):
    """UploadQueue, for senders of packages that had no event."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Send each body as a separate message.

        If that fails, any of them may have been sent, and some twice.
        """
        ...


class NoQueue:
    """A ``FifoQueue`` that drops every message, because no stack would handle it."""

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """See ``FifoQueue.send``."""

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``FifoQueue.change_visibility``."""
