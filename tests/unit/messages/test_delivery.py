"""A message as a function gets it, and how it is given back."""

from __future__ import annotations

import pytest

from sluice.errors import Corrupt, Unavailable
from sluice.messages.delivery import Backoff, Delivery, give_back
from testkit.memory_queue import MemoryQueue
from testkit.memory_store import LostAnswer

DELIVERY = Delivery("body", "handle", receive_count=3, queue="uploads")


def test_a_record_of_lambda_is_read() -> None:
    record = {
        "messageId": "m",
        "receiptHandle": "handle",
        "body": "body",
        "attributes": {"ApproximateReceiveCount": "3"},
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:uploads",
    }
    assert Delivery.from_record(record) == DELIVERY


def test_a_record_says_how_long_it_waited_for_its_first_receipt() -> None:
    record = {
        "receiptHandle": "handle",
        "body": "body",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1764500000100",
            "ApproximateFirstReceiveTimestamp": "1764500001350",
        },
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:merge.fifo",
    }
    assert Delivery.from_record(record).waited_ms == 1250


def test_a_record_that_does_not_count_its_receipts_is_the_first() -> None:
    record = {
        "receiptHandle": "handle",
        "body": "body",
        "attributes": {},
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:uploads",
    }
    assert Delivery.from_record(record).receive_count == 1


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff(first_seconds=15, factor=4, max_seconds=900), [15, 60, 240, 900, 900]),
        (Backoff(first_seconds=2, factor=2, max_seconds=300), [2, 4, 8, 16, 32]),
    ],
)
def test_each_delay_is_longer_up_to_a_bound(backoff: Backoff, delays: list[int]) -> None:
    assert [backoff.seconds(count) for count in range(1, 6)] == delays
    assert backoff.seconds(999) == backoff.max_seconds


def test_a_message_is_given_back_for_its_delay() -> None:
    queue = MemoryQueue()
    give_back(DELIVERY, queue, Backoff(1, 3, 100), failure=Corrupt("a head"))
    assert queue.visibility == [("handle", 9)]


def test_a_message_that_cannot_be_given_back_hides_no_failure() -> None:
    queue, failure = MemoryQueue(), Corrupt("a head")

    def lose(operation: str, _key: str) -> None:
        raise LostAnswer(operation)

    queue.before = lose
    give_back(DELIVERY, queue, Backoff(1, 3, 100), failure=failure)
    (note,) = failure.__notes__
    assert "ChangeMessageVisibility" in note


def test_a_queue_that_breaks_otherwise_is_not_passed_over() -> None:
    class Broken:
        def change_visibility(self, receipt_handle: str, seconds: int) -> None:
            raise KeyError(receipt_handle, seconds)

    with pytest.raises(KeyError):
        give_back(DELIVERY, Broken(), Backoff(1, 3, 100), failure=Unavailable("S3"))
