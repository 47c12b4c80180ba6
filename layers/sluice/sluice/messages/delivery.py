"""A message as a queue hands it to a function, and how a function gives it back."""

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
    """How often the queue has handed the message out, this time included."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Delivery:
        """Read a record of SQS as Lambda's event source mapping hands it over."""
        receive_count = int(record["attributes"].get("ApproximateReceiveCount") or 1)
        return cls(record["body"], record["receiptHandle"], receive_count)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a message that failed waits until it is delivered again."""

    first_seconds: int
    factor: int
    """Each further delay is so many times as long."""
    max_seconds: int

    def seconds(self, receive_count: int) -> int:
        """The delay after a message has failed so many times."""
        delay: int = self.first_seconds * self.factor ** (receive_count - 1)
        return min(delay, self.max_seconds)


def give_back(
    delivery: Delivery, queue: MessageQueue, backoff: Backoff, *, failure: Exception
) -> None:
    """Have a message that failed delivered again after its delay.

    Where the queue does not answer, the message comes back when its visibility timeout ends.
    ``failure`` then gets a note of that: it says more than the queue's error, which must not take
    its place.
    """
    try:
        queue.change_visibility(delivery.receipt_handle, backoff.seconds(delivery.receive_count))
    except Unavailable as unanswered:
        failure.add_note(f"The message keeps its visibility timeout: {unanswered}")
