"""The handler that Lambda calls: that of ``app``, or one that returns messages if ``app`` fails.

An update of the stack replaces code, layer and variables of a function one after the other.  In
between, ``app`` may meet a layer that lacks a name, or a variable that is not there yet.  Lambda
would leave each message hidden for the whole visibility timeout.  This returns it soon, with
nothing but boto3, which the runtime has, and fails, so that the failure is seen and counted.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

FIRST_DELAY_SECONDS = 15
"""The delay of the first return.  It doubles each time, because a release that can never be
imported must not use up the tries of a message before somebody has looked."""
DELAY_SECONDS_MAX = 240

Handler = Callable[[Any, Any], Any]


def import_handler() -> Handler:
    """Import the function; if that fails, get a handler that returns messages and fails."""
    try:
        handler: Handler = importlib.import_module("app").handler
    except Exception as error:  # noqa: BLE001 - whatever it is, messages wait for the next version
        return failing_handler(error)
    return handler


def failing_handler(cause: Exception) -> Handler:
    """A handler for as long as the function cannot be imported."""

    def handler(event: Any, _context: Any) -> Any:
        failure = RuntimeError(
            f"the function cannot be imported ({type(cause).__name__}: {cause}). Its code, layer "
            "and variables may come from different releases, which is normal during an update of "
            "the stack. If the error persists, deploy again, or deploy the previous release."
        )
        try:
            hand_back(event)
        except Exception as unanswered:  # noqa: BLE001 - must not replace the failure
            failure.add_note(f"The messages keep their visibility timeout: {unanswered}")
        raise failure from cause

    return handler


def hand_back(event: Any) -> None:
    """Make each message of a batch visible again soon; any other event has none."""
    import boto3  # noqa: PLC0415 - costs time, and is not needed where all is well

    for record in event.get("Records", ()) if isinstance(event, dict) else ():
        if record.get("eventSource") == "aws:sqs":
            received = int(record["attributes"]["ApproximateReceiveCount"])
            boto3.client("sqs").change_message_visibility(
                QueueUrl=queue_url(record["eventSourceARN"]),
                ReceiptHandle=record["receiptHandle"],
                VisibilityTimeout=delay_seconds(received),
            )


def delay_seconds(received: int) -> int:
    """How long a message is hidden that was received so often."""
    delay: int = FIRST_DELAY_SECONDS * 2 ** (received - 1)
    return min(delay, DELAY_SECONDS_MAX)


def queue_url(arn: str) -> str:
    """The URL of the queue with this ARN: each function has that of its own in a variable."""
    name = arn.rpartition(":")[2]
    urls = (value for key, value in os.environ.items() if key.endswith("_QUEUE_URL"))
    return next(url for url in urls if url.endswith(f"/{name}"))


handler = import_handler()
