"""``SqsQueue`` on moto, and on the answers that moto does not give."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import repeat

import pytest
from botocore.exceptions import ConnectionClosedError

from sluice.errors import Unavailable
from sluice.limits import ATTEMPTS_MAX
from sluice.storage.queue import FifoQueue
from sluice.storage.sqs_queue import SqsQueue, make_sqs_client
from testkit.memory_queue import MemoryQueue, Message
from tests.support.scripted_aws import Answer, Script

URL = "https://sqs.us-east-1.amazonaws.com/1/merge.fifo"
CALLS: list[tuple[str, Callable[[SqsQueue], object]]] = [
    ("SendMessage", lambda queue: queue.send("b", group="g", deduplication_id="1")),
    ("SendMessage", lambda queue: queue.send_for("team", "b")),
    ("ChangeMessageVisibility", lambda queue: queue.change_visibility("handle", 3)),
    ("SendMessageBatch", lambda queue: queue.send_all(["b"])),
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)


@pytest.fixture
def url(moto: None) -> str:
    assert moto is None
    return make_sqs_client().create_queue(
        QueueName="merge.fifo", Attributes={"FifoQueue": "true", "VisibilityTimeout": "900"}
    )["QueueUrl"]


def receive(url: str) -> list[tuple[str, str, str, str]]:
    answer = make_sqs_client().receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
    )
    return [
        (
            message["Body"],
            message["Attributes"]["MessageGroupId"],
            message["Attributes"]["MessageDeduplicationId"],
            message["ReceiptHandle"],
        )
        for message in answer.get("Messages", [])
    ]


def test_a_message_carries_its_group_and_its_deduplication_id(url: str) -> None:
    SqsQueue(make_sqs_client, url).send("body", group="c/noarch", deduplication_id="c/noarch|7")
    ((*message, _handle),) = receive(url)
    assert message == ["body", "c/noarch", "c/noarch|7"]


def test_a_message_of_the_same_deduplication_id_is_dropped_by_sqs_and_by_its_fake(url: str) -> None:
    fake = MemoryQueue()
    queues: list[FifoQueue] = [SqsQueue(make_sqs_client, url), fake]
    for queue in queues:
        queue.send("one", group="g", deduplication_id="1")
        queue.send("two", group="g", deduplication_id="1")
        queue.send("three", group="g", deduplication_id="2")
    assert [body for body, *_ in receive(url)] == ["one", "three"]
    assert [message.body for message in fake.messages] == ["one", "three"]
    assert fake.dropped == [Message("two", "g", "1")]


def test_a_message_for_a_tenant_carries_it_as_its_group_and_is_never_dropped(moto: None) -> None:
    assert moto is None
    url = make_sqs_client().create_queue(QueueName="slow")["QueueUrl"]
    queue = SqsQueue(make_sqs_client, url)
    queue.send_for("team", "body")
    queue.send_for("team", "body")
    answer = make_sqs_client().receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
    )
    assert [
        (message["Body"], message["Attributes"]["MessageGroupId"]) for message in answer["Messages"]
    ] == [("body", "team")] * 2


def test_a_message_is_handed_back_for_the_seconds_asked_for(url: str) -> None:
    queue = SqsQueue(make_sqs_client, url)
    queue.send("body", group="g", deduplication_id="1")
    ((*_, handle),) = receive(url)
    assert receive(url) == []
    queue.change_visibility(handle, 0)
    assert [body for body, *_ in receive(url)] == ["body"]


@pytest.mark.parametrize(("name", "call"), CALLS)
@pytest.mark.parametrize(
    "failures",
    [
        [*repeat(ConnectionClosedError(endpoint_url=URL), ATTEMPTS_MAX)],
        [*repeat(Answer(503), ATTEMPTS_MAX)],
        [Answer(400, {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"})],
    ],
    ids=["closed", "503", "no-queue"],
)
def test_a_queue_that_does_not_do_its_part_is_unavailable(
    name: str, call: Callable[[SqsQueue], object], failures: list[Answer | Exception]
) -> None:
    script = Script(*failures)
    client = make_sqs_client()
    script.attach(client)
    with pytest.raises(Unavailable, match=f"{name} {URL}"):
        call(SqsQueue(lambda: client, URL))
    assert script.exhausted


def test_the_fake_forgets_a_deduplication_id_after_five_minutes() -> None:
    now = 0.0
    queue = MemoryQueue(lambda: now)
    for now in (0.0, 299.0, 300.0):
        queue.send(str(now), group="g", deduplication_id="1")
    assert [message.body for message in queue.messages] == ["0.0", "300.0"]


@pytest.mark.usefixtures("moto")
def test_many_messages_are_sent_ten_at_a_time() -> None:
    client = make_sqs_client()
    url = client.create_queue(QueueName="upload")["QueueUrl"]
    sizes: list[int] = []
    client.meta.events.register(
        "provide-client-params.sqs.SendMessageBatch",
        lambda params, **_: sizes.append(len(params["Entries"])),
    )
    bodies = [f"{number} +%20é" for number in range(23)]
    SqsQueue(lambda: client, url).send_all(bodies)
    received: list[str] = []
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        received += [message["Body"] for message in messages]
    assert sizes == [10, 10, 3]
    assert sorted(received) == sorted(bodies)


def batch_answer(*, refused: dict[str, str]) -> Answer:
    failed = [{"Id": one, "Code": code, "SenderFault": False} for one, code in refused.items()]
    return Answer(body=json.dumps({"Successful": [], "Failed": failed}).encode())


def test_of_a_batch_that_was_taken_in_part_only_the_rest_is_sent_again() -> None:
    script = Script(
        batch_answer(refused={"0": "InternalError", "2": "InternalError"}),
        batch_answer(refused={"1": "InternalError"}),
        batch_answer(refused={}),
    )
    client = make_sqs_client()
    script.attach(client)
    SqsQueue(lambda: client, URL).send_all(["a", "b", "c"])
    bodies = [request.body for request in script.requests]
    sent = [json.loads(body) for body in bodies if isinstance(body, bytes | str)]
    assert [[entry["MessageBody"] for entry in batch["Entries"]] for batch in sent] == [
        ["a", "b", "c"],
        ["a", "c"],
        ["c"],
    ]


def test_a_batch_of_which_some_is_refused_each_time_is_unavailable() -> None:
    refusal = batch_answer(refused={"0": "InternalError"})
    script = Script(*repeat(refusal, ATTEMPTS_MAX))
    client = make_sqs_client()
    script.attach(client)
    with pytest.raises(Unavailable, match=f"{URL}: SQS refused 1 of the messages: InternalError"):
        SqsQueue(lambda: client, URL).send_all(["a"])
    assert script.exhausted
