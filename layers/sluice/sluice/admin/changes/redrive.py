"""Redrives a stack's dead-letter queues: sends their messages again.

SQS can do that itself (StartMessageMoveTask).  Done here, it ends before the command does, is
counted, and works with any queues, including emulators of AWS without move tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from sluice.admin.session.aws import AWS_ERRORS
from sluice.admin.session.queue_depth import EVENT_DLQ, QUEUE_KINDS
from sluice.admin.session.stack import Stack
from sluice.errors import Unavailable
from sluice.limits import MESSAGES_PER_BATCH_MAX

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_WAIT_SECONDS = 1
"""Time to wait for a message.  Without a wait, SQS asks only some of the servers of a queue."""


def redrive(
    stack: Stack, *, on_progress: Callable[[str, int], None] = lambda _queue, _moved: None
) -> dict[str, int]:
    """Send dead letters again; returns the number of messages per destination queue.

    A message is deleted only after it was sent again.  If the process is killed in between, it will
    be sent once more, so events and requests may arrive twice.  ``on_progress`` is called with a
    queue and the number of its messages so far.  Raises ``Unavailable``.
    """
    moved = {
        f"{kind}Queue": _redrive_queue(stack, stack.output(f"{kind}DlqUrl"), kind, on_progress)
        for kind in QUEUE_KINDS
    }
    if undelivered := stack.outputs.get(f"{EVENT_DLQ}Url"):
        moved["UploadQueue"] += _redrive_queue(
            stack, undelivered, "Upload", on_progress, before=moved["UploadQueue"]
        )
    return moved


def _redrive_queue(
    stack: Stack, dead: str, kind: str, on_progress: Callable[[str, int], None], *, before: int = 0
) -> int:
    """Move all of the queue ``dead``; ``before``: what others were moved to the same queue."""
    alive = stack.output(f"{kind}QueueUrl")
    moved = 0
    try:
        while messages := _receive(stack, dead):
            for message in messages:
                _send(stack, alive, message)
                stack.aws.sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
                moved += 1
            on_progress(f"{kind}Queue", before + moved)
    except AWS_ERRORS as error:
        raise Unavailable(
            f"redrive of {dead} stopped after {moved} messages: {error}. Run it again"
        ) from error
    return moved


def _receive(stack: Stack, url: str) -> list[MessageTypeDef]:
    response = stack.aws.sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=MESSAGES_PER_BATCH_MAX,
        MessageSystemAttributeNames=["MessageGroupId"],
        WaitTimeSeconds=_WAIT_SECONDS,
    )
    return response.get("Messages", [])


def _send(stack: Stack, url: str, message: MessageTypeDef) -> None:
    group = message.get("Attributes", {}).get("MessageGroupId")
    if group is None:
        stack.aws.sqs.send_message(QueueUrl=url, MessageBody=message["Body"])
    elif not url.endswith(".fifo"):
        stack.aws.sqs.send_message(QueueUrl=url, MessageBody=message["Body"], MessageGroupId=group)
    else:
        _send_to_fifo(stack, url, message, group)


def _send_to_fifo(stack: Stack, url: str, message: MessageTypeDef, group: str) -> None:
    stack.aws.sqs.send_message(
        QueueUrl=url,
        MessageBody=message["Body"],
        MessageGroupId=group,
        # Not the old one, which the queue may still remember; stable if this is sent again.
        MessageDeduplicationId=sha256(f"redrive|{message['MessageId']}".encode()).hexdigest(),
    )
