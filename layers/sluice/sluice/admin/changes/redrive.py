"""Bringing messages back from the dead-letter queues of a stack.

SQS can do that itself (StartMessageMoveTask).  Done here it ends before the command does, is
counted, and works wherever there are queues, which emulators of AWS have without move tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from sluice.admin.session.aws import AWS_ERRORS
from sluice.admin.session.queue_depth import QUEUE_KINDS
from sluice.admin.session.stack import Stack
from sluice.errors import Unavailable
from sluice.limits import MESSAGES_PER_BATCH_MAX

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_WAIT_SECONDS = 1
"""For a message to come: without, SQS asks only some of the machines that a queue is on."""


def redrive(
    stack: Stack, *, on_progress: Callable[[str, int], None] = lambda _queue, _moved: None
) -> dict[str, int]:
    """Send what could not be handled once more; how many messages, by the queue they went to.

    A message is deleted where it was after it was sent: who is killed in between leaves it to be
    sent once more, and events and requests may come twice.  ``on_progress`` is told of a queue and
    of how many messages it has got.  Raises ``Unavailable``.
    """
    return {f"{kind}Queue": _redrive_queue(stack, kind, on_progress) for kind in QUEUE_KINDS}


def _redrive_queue(stack: Stack, kind: str, on_progress: Callable[[str, int], None]) -> int:
    dead, alive = stack.output(f"{kind}DlqUrl"), stack.output(f"{kind}QueueUrl")
    moved = 0
    try:
        while messages := _receive(stack, dead):
            for message in messages:
                _send(stack, alive, message)
                stack.aws.sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
                moved += 1
            on_progress(f"{kind}Queue", moved)
    except AWS_ERRORS as error:
        raise Unavailable(f"redriving {dead} after {moved} messages: {error}") from error
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
        return
    stack.aws.sqs.send_message(
        QueueUrl=url,
        MessageBody=message["Body"],
        MessageGroupId=group,
        # Not the one it had, which the queue may still remember; the same if this is sent again.
        MessageDeduplicationId=sha256(f"redrive|{message['MessageId']}".encode()).hexdigest(),
    )
