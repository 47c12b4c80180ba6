"""``FifoQueue``, ``FairQueue`` and ``UploadQueue`` on SQS, with boto3.

boto3 takes a quarter of a second to import and to create a client.  Most merges never need it, and
no cold start should wait for it.  So it is imported when a queue is first used, or by ``connect``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from sluice.concurrency import chunks
from sluice.errors import Unavailable
from sluice.limits import (
    ATTEMPTS_MAX,
    CONNECT_TIMEOUT_SECONDS,
    MESSAGES_PER_BATCH_MAX,
    READ_TIMEOUT_SECONDS,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_FAILURES = (BotoCoreError, ClientError)


def make_sqs_client() -> SQSClient:
    """Create a client for the region and endpoint of the environment; thread-safe."""
    import boto3  # noqa: PLC0415 - see above
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        "sqs",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
        ),
    )


class SqsQueue:
    """One SQS queue: FIFO queues use ``send``, standard ones the other two."""

    def __init__(self, client: Callable[[], SQSClient], url: str) -> None:
        self._make_client = client
        self._url = url

    @cached_property
    def _client(self) -> SQSClient:
        return self._make_client()

    def connect(self) -> None:
        """Create the client ahead of its first use."""
        assert self._client

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """See ``FifoQueue.send``."""
        try:
            self._client.send_message(
                QueueUrl=self._url,
                MessageBody=body,
                MessageGroupId=group,
                MessageDeduplicationId=deduplication_id,
            )
        except _FAILURES as error:
            raise Unavailable(f"SendMessage {self._url} ({group}): {error}") from error

    def send_for(self, tenant: str, body: str) -> None:
        """See ``FairQueue.send_for``."""
        try:
            self._client.send_message(QueueUrl=self._url, MessageBody=body, MessageGroupId=tenant)
        except _FAILURES as error:
            raise Unavailable(f"SendMessage {self._url} ({tenant}): {error}") from error

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``FifoQueue.change_visibility``."""
        try:
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
        except _FAILURES as error:
            raise Unavailable(f"ChangeMessageVisibility {self._url}: {error}") from error

    def send_all(self, bodies: Sequence[str]) -> None:
        """See ``UploadQueue.send_all``."""
        for batch in chunks(bodies, MESSAGES_PER_BATCH_MAX):
            self._send_batch(batch)

    def _send_batch(self, bodies: Sequence[str]) -> None:
        """Send up to ten messages; SQS may accept some and refuse others."""
        for _ in range(ATTEMPTS_MAX):
            try:
                response = self._client.send_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(number), "MessageBody": body}
                        for number, body in enumerate(bodies)
                    ],
                )
            except _FAILURES as error:
                raise Unavailable(f"SendMessageBatch {self._url}: {error}") from error
            failed = response.get("Failed", [])
            if not failed:
                return
            bodies = [bodies[int(entry["Id"])] for entry in failed]
        codes = ", ".join(sorted({entry["Code"] for entry in failed}))
        raise Unavailable(
            f"SendMessageBatch {self._url}: SQS refused {len(failed)} of the messages: {codes}"
        )
