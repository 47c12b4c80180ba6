"""Messages that fail time and again: a bounded number of tries, then the dead-letter queue.

The queues have the bounds of ``template.yaml``; the event source mapping is a loop, to which what
is handed back for some time comes back at once.
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from sluice.storage.sqs_queue import SqsQueue
from tests.handlers.functions import (
    BUCKET,
    DONE,
    KEY,
    PACKAGE,
    RECONCILE_QUEUE_URL,
    SUBDIR,
    UPLOAD_QUEUE_URL,
    Stack,
    batch,
    load,
    notification,
    request,
    upload,
)
from tests.handlers.request_faults import SLOW_DOWN, failing
from tests.support.template import properties

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

QUEUES = {"extract": "UploadQueue", "merge": "MergeQueue", "reconcile": "ReconcileQueue"}
QUEUE_URLS = {"extract": UPLOAD_QUEUE_URL, "reconcile": RECONCILE_QUEUE_URL}
WAITS = {
    "extract": [15, 60, 240, 900, 900],
    "merge": [2, 4, 8, 16, 32, 64, 128, 256, *[300] * 12],
    "reconcile": [30, 60, 120, 240, 480],
}
TRIES_MAX = 50


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For how long messages were handed back; they come back at once."""
    asked: list[int] = []
    change_visibility = SqsQueue.change_visibility

    def at_once(queue: SqsQueue, receipt_handle: str, seconds: int) -> None:
        asked.append(seconds)
        change_visibility(queue, receipt_handle, 0)

    monkeypatch.setattr(SqsQueue, "change_visibility", at_once)
    return asked


class Mapping:
    """A queue as the template has it, and what Lambda does with its messages."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.app = load(name)
        self.url = QUEUE_URLS.get(name, stack.queue_url)
        self._stack = stack
        self._dlq = self._make("dead", fifo=self.url.endswith(".fifo"))
        redrive = {
            "deadLetterTargetArn": self._arn(self._dlq),
            "maxReceiveCount": properties(QUEUES[name])["RedrivePolicy"]["maxReceiveCount"],
        }
        if self.url != stack.queue_url:
            self._make(self.url.rpartition("/")[2].removesuffix(".fifo"), fifo="fifo" in self.url)
        attributes = {"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": "900"}
        stack.sqs.set_queue_attributes(QueueUrl=self.url, Attributes=attributes)

    def send(self, body: Any, *, again: bool = False) -> None:
        """Put a message into the queue."""
        text = body if isinstance(body, str) else json.dumps(body)
        fifo = {"MessageGroupId": "g", "MessageDeduplicationId": str(again)}
        fifo = fifo if "fifo" in self.url else {}
        self._stack.sqs.send_message(QueueUrl=self.url, MessageBody=text, **fifo)

    def pump(self) -> int:
        """Invoke the function until the queue is empty; tells how often."""
        for tries in range(TRIES_MAX):
            found = self._receive(self.url)
            if not found:
                return tries
            answer = self._stack.invoke(self.app, batch(_record(found[0])))
            if answer == DONE:
                self._stack.sqs.delete_message(
                    QueueUrl=self.url, ReceiptHandle=found[0]["ReceiptHandle"]
                )
        raise AssertionError(f"still not given up after {TRIES_MAX} tries")

    def dead(self) -> list[str]:
        """The bodies in the dead-letter queue."""
        return [message["Body"] for message in self._receive(self._dlq)]

    def _make(self, name: str, *, fifo: bool) -> str:
        url: str = self._stack.sqs.create_queue(
            QueueName=f"{name}.fifo" if fifo else name,
            Attributes={"FifoQueue": "true"} if fifo else {},
        )["QueueUrl"]
        return url

    def _arn(self, url: str) -> str:
        answer = self._stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn: str = answer["Attributes"]["QueueArn"]
        return arn

    def _receive(self, url: str) -> list[dict[str, Any]]:
        answer = self._stack.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=1, MessageSystemAttributeNames=["All"]
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages


def _record(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue",
        "awsRegion": "us-east-1",
    }


@pytest.mark.parametrize("name", QUEUES)
def test_a_message_that_nobody_understands_is_given_up_after_bounded_tries_and_waits(
    stack: Stack, waits: list[int], name: str
) -> None:
    mapping = Mapping(stack, name)
    mapping.send("not a message")
    assert mapping.pump() == properties(QUEUES[name])["RedrivePolicy"]["maxReceiveCount"]
    assert mapping.dead() == ["not a message"]
    assert waits == WAITS[name]


@pytest.mark.parametrize(
    "name", [name for name, queue in QUEUES.items() if properties(queue).get("FifoQueue")]
)
def test_no_failure_hides_a_message_for_longer_than_a_function_that_died_would(name: str) -> None:
    """Of a FIFO queue a hidden message holds up its whole group."""
    assert max(WAITS[name]) < properties(QUEUES[name])["VisibilityTimeout"]


def test_a_failure_hides_an_upload_which_holds_up_no_other_for_a_quarter_of_an_hour_at_most() -> (
    None
):
    assert max(WAITS["extract"]) <= 900
    assert sum(WAITS["extract"][:-1]) > 20 * 60  # an S3 that is away for so long costs no upload


def test_a_poisoned_message_ahead_of_a_good_one_does_not_hold_it_for_ever(
    stack: Stack, waits: list[int]
) -> None:
    upload(stack)
    stack.invoke(load("extract"), notification(KEY))
    stack.receive()
    mapping = Mapping(stack, "merge")
    mapping.send("not a request")
    stack.sqs.send_message(
        QueueUrl=mapping.url,
        MessageBody=request(),
        MessageGroupId="g",
        MessageDeduplicationId="2",
    )
    mapping.pump()
    assert mapping.dead() == ["not a request"]
    assert waits == WAITS["merge"]
    assert list(stack.read(BUCKET, f"{SUBDIR}/repodata.json")["packages.conda"]) == [
        PACKAGE.filename
    ]


def test_a_request_for_the_end_of_time_is_given_up_like_any_that_fails(
    stack: Stack, merge: ModuleType
) -> None:
    """SQS hides no message for more than twelve hours."""
    far = request(not_before=2**60)
    stack.sqs.send_message(
        QueueUrl=stack.queue_url,
        MessageBody=far,
        MessageGroupId="g",
        MessageDeduplicationId="1",
    )
    (record,) = stack.receive()
    answer = stack.invoke(merge, batch({**record, "messageId": "m"}))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    assert stack.logs[-1]["exception_name"] == "Unavailable"


def test_an_upload_that_was_given_up_is_healed_by_the_next_reconcile(
    stack: Stack, waits: list[int]
) -> None:
    uploads, runs = Mapping(stack, "extract"), load("reconcile")
    upload(stack)
    uploads.send(notification(KEY))
    client = uploads.app.ctx().extractor.state._bucket.client
    with failing(client, "s3.PutObject", SLOW_DOWN):
        uploads.pump()
    assert uploads.dead() == [json.dumps(notification(KEY))]
    assert waits == WAITS["extract"]
    assert stack.staged() == []

    report = stack.invoke(runs, {})
    (step,) = report["steps"].values()
    assert (step["counts"]["missing"], step["counts"]["fed"]) == (1, 1)
    assert uploads.pump() == 1
    assert [staged["filename"] for staged in stack.staged()] == [PACKAGE.filename]


def test_what_is_sent_back_from_the_dead_letter_queue_is_done_once_its_cause_is_gone(
    stack: Stack, waits: list[int]
) -> None:
    """``aws sqs start-message-move-task``, which no emulator knows, moves bodies as they are."""
    upload(stack)
    stack.invoke(load("extract"), notification(KEY))
    stack.receive()
    merges = Mapping(stack, "merge")
    merges.send(request())
    with failing(merges.app.ctx().state._bucket.client, "s3.ListObjectsV2", SLOW_DOWN):
        merges.pump()
    assert waits == WAITS["merge"]
    (dead,) = merges.dead()
    assert len(stack.staged()) == 1

    merges.send(dead, again=True)
    assert merges.pump() == 1
    assert stack.staged() == []
    assert list(stack.read(BUCKET, f"{SUBDIR}/repodata.json")["packages.conda"]) == [
        PACKAGE.filename
    ]


# --- invocations that start late ------------------------------------------------------------------


def test_a_merge_that_starts_when_another_has_already_done_its_work_changes_nothing(
    stack: Stack, merge: ModuleType
) -> None:
    """Throttled, it waited until its message was visible again and handed to another."""
    upload(stack)
    stack.invoke(load("extract"), notification(KEY))
    stack.receive()
    late, prompt = batch_of(request()), batch_of(request())
    assert stack.invoke(merge, prompt) == DONE
    before = files(stack)
    assert stack.invoke(load("merge"), late) == DONE
    assert files(stack) == before


def test_an_upload_that_is_looked_at_late_is_judged_as_it_is_then(
    stack: Stack, merge: ModuleType
) -> None:
    upload(stack)
    stack.invoke(load("extract"), notification(KEY))
    stack.invoke(merge, batch_of(request()))
    stack.s3.delete_object(Bucket=BUCKET, Key=KEY)
    stack.invoke(load("extract"), notification(KEY))  # "created", says the event
    assert stack.invoke(merge, batch_of(request())) == DONE
    assert stack.read(BUCKET, f"{SUBDIR}/repodata.json")["packages.conda"] == {}


def batch_of(body: str) -> dict[str, Any]:
    return batch(_record({"MessageId": "m", "ReceiptHandle": "h", "Body": body, "Attributes": {}}))


def files(stack: Stack) -> dict[str, str]:
    found = stack.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    return {one["Key"]: one["ETag"] for one in found}
