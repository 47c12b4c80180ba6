"""The queues of a stack: what waits in them, and what ended in their dead-letter queues."""

from __future__ import annotations

import msgspec

from sluice.admin.session.aws import FAILURES
from sluice.admin.session.stack import Stack
from sluice.errors import Unavailable

KINDS = ("Upload", "Merge", "Reconcile")
"""Of queues; each has its dead-letter queue."""


class Depth(msgspec.Struct, frozen=True, kw_only=True):
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


def depths(stack: Stack) -> dict[str, Depth]:
    """How full its queues are, by name; raises ``Unavailable``."""
    found: dict[str, Depth] = {}
    for kind in KINDS:
        found[f"{kind}Queue"] = _depth(stack, stack.output(f"{kind}QueueUrl"), dead_letters=False)
        found[f"{kind}Dlq"] = _depth(stack, stack.output(f"{kind}DlqUrl"), dead_letters=True)
    return found


def _depth(stack: Stack, url: str, *, dead_letters: bool) -> Depth:
    try:
        answer = stack.aws.sqs.get_queue_attributes(
            QueueUrl=url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesDelayed",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )
    except FAILURES as error:
        raise Unavailable(f"GetQueueAttributes {url}: {error}") from error
    told = answer["Attributes"]
    return Depth(
        waiting=int(told["ApproximateNumberOfMessages"]),
        delayed=int(told["ApproximateNumberOfMessagesDelayed"]),
        handled=int(told["ApproximateNumberOfMessagesNotVisible"]),
        dead_letters=dead_letters,
    )
