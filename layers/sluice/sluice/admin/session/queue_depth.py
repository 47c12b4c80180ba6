"""The depth of a stack's queues, including their dead-letter queues."""

from __future__ import annotations

import msgspec

from sluice.admin.session.aws import AWS_ERRORS
from sluice.admin.session.stack import Stack
from sluice.errors import Unavailable

QUEUE_KINDS = ("Upload", "SlowUpload", "Merge", "Reconcile")
"""Kinds of queues; each has a dead-letter queue."""
EVENT_DLQ = "EventDlq"
"""The dead-letter queue of EventBridge's rule, of a stack whose bucket existed before it."""


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """The number of messages in a queue, as SQS reports it."""

    waiting: int
    delayed: int
    """Messages that the queue delays; none of this version."""
    handled: int
    """Messages in flight: they are being handled, or were handed back until they are due."""
    dead_letters: bool
    """Whether this is a dead-letter queue."""

    @property
    def messages(self) -> int:
        """The number of all messages."""
        return self.waiting + self.delayed + self.handled


def read_queue_depths(stack: Stack) -> dict[str, QueueDepth]:
    """The depth of each queue, by name; raises ``Unavailable``."""
    depths: dict[str, QueueDepth] = {}
    for kind in QUEUE_KINDS:
        depths[f"{kind}Queue"] = _read_depth(
            stack, stack.output(f"{kind}QueueUrl"), dead_letters=False
        )
        depths[f"{kind}Dlq"] = _read_depth(stack, stack.output(f"{kind}DlqUrl"), dead_letters=True)
    if url := stack.outputs.get(f"{EVENT_DLQ}Url"):
        depths[EVENT_DLQ] = _read_depth(stack, url, dead_letters=True)
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
        raise Unavailable(f"GetQueueAttributes {url}: {stack.aws.explain(error)}") from error
    attributes = response["Attributes"]
    return QueueDepth(
        waiting=int(attributes["ApproximateNumberOfMessages"]),
        delayed=int(attributes["ApproximateNumberOfMessagesDelayed"]),
        handled=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        dead_letters=dead_letters,
    )
