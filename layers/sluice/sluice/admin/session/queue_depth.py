"""The queues of a stack: what waits in them, and what ended in their dead-letter queues."""

from __future__ import annotations

import msgspec

from sluice.admin.session.aws import AWS_ERRORS
from sluice.admin.session.stack import Stack
from sluice.errors import Unavailable

QUEUE_KINDS = ("Upload", "Merge", "Reconcile")
"""Of queues; each has its dead-letter queue."""


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages are in a queue, as far as SQS knows."""

    waiting: int
    delayed: int
    """Until their window closes."""
    handled: int
    """Right now."""
    dead_letters: bool
    """Whether messages are here that could not be handled."""

    @property
    def messages(self) -> int:
        """All of them."""
        return self.waiting + self.delayed + self.handled


def read_queue_depths(stack: Stack) -> dict[str, QueueDepth]:
    """How full its queues are, by name; raises ``Unavailable``."""
    depths: dict[str, QueueDepth] = {}
    for kind in QUEUE_KINDS:
        depths[f"{kind}Queue"] = _read_depth(
            stack, stack.output(f"{kind}QueueUrl"), dead_letters=False
        )
        depths[f"{kind}Dlq"] = _read_depth(stack, stack.output(f"{kind}DlqUrl"), dead_letters=True)
    return depths


def _read_depth(stack: Stack, url: str, *, dead_letters: bool) -> QueueDepth:
    try:
        response = stack.aws.sqs.get_queue_attributes(
            QueueUrl=url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesDelayed",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )
    except AWS_ERRORS as error:
        raise Unavailable(f"GetQueueAttributes {url}: {error}") from error
    attributes = response["Attributes"]
    return QueueDepth(
        waiting=int(attributes["ApproximateNumberOfMessages"]),
        delayed=int(attributes["ApproximateNumberOfMessagesDelayed"]),
        handled=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        dead_letters=dead_letters,
    )
