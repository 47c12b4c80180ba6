"""A message as a queue delivers it to a function, and how the function returns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice.errors import Unavailable
from sluice.storage.queue import MessageQueue


@dataclass(frozen=True, slots=True)
class Delivery:
    """One receipt of a message."""

    body: str
    receipt_handle: str
    receive_count: int
    """How often the queue has delivered the message, this time included."""
    queue: str = ""
    """Name of the queue; empty where only one delivers to the function."""
    waited_ms: int | None = None
    """Time from the send to the first receipt, by the queue's clock; ``None``: unknown."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Delivery:
        """Parse an SQS record of Lambda's event source mapping."""
        attributes = record["attributes"]
        receive_count = int(attributes.get("ApproximateReceiveCount") or 1)
        queue = record["eventSourceARN"].rpartition(":")[2]
        sent, received = (
            attributes.get(name) for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp")
        )
        waited_ms = int(received) - int(sent) if sent and received else None
        return cls(record["body"], record["receiptHandle"], receive_count, queue, waited_ms)


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay before a failed message is delivered again."""

    first_seconds: int
    factor: int
    """The factor by which each further delay is longer."""
    max_seconds: int

    def seconds(self, receive_count: int) -> int:
        """The delay after ``receive_count`` failures."""
        delay: int = self.first_seconds * self.factor ** (receive_count - 1)
        return min(delay, self.max_seconds)


def give_back(
    delivery: Delivery, queue: MessageQueue, backoff: Backoff, *, failure: Exception
) -> None:
    """Deliver a failed message again after its delay.

    If the queue does not answer, the message returns when its visibility timeout ends.  ``failure``
    then gets a note about that.  The queue's error must not replace it, because it says more.
    """
    try:
        queue.change_visibility(delivery.receipt_handle, backoff.seconds(delivery.receive_count))
    except Unavailable as unanswered:
        failure.add_note(f"The message keeps its visibility timeout: {unanswered}")
