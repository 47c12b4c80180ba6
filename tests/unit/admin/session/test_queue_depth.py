from __future__ import annotations

from dataclasses import replace

import pytest

from sluice.admin.changes.redrive import redrive
from sluice.admin.history.status import status
from sluice.admin.session.aws import Aws
from sluice.admin.session.queue_depth import read_queue_depths
from sluice.admin.session.stack import Stack
from sluice.errors import Unavailable
from sluice.storage.sqs_queue import SqsQueue
from tests.support.admin_channel import admin_channel
from tests.support.fake_stack import REGION, make_channel_bucket, make_queues, stack_of
from tests.support.staging_records import A
from tests.support.subdir_world import World


@pytest.fixture
def stack(moto: None, monkeypatch: pytest.MonkeyPatch) -> Stack:
    assert moto is None
    monkeypatch.setattr(
        "sluice.admin.changes.redrive._WAIT_SECONDS", 0
    )  # moto's queues are one machine
    aws = Aws(region=REGION)
    queues = make_queues(aws)
    make_channel_bucket(aws, queues)
    return stack_of(aws, queues)


def _send(stack: Stack, output: str, *bodies: str) -> None:
    queue = SqsQueue(lambda: stack.aws.sqs, stack.output(output))
    for body in bodies:
        if "Merge" in output:
            queue.send(body, group="c/noarch", deduplication_id=body)
        elif "Slow" in output:
            queue.send_for("c", body)
        else:
            queue.send_all([body])


def _bodies(stack: Stack, output: str) -> list[str]:
    answer = stack.aws.sqs.receive_message(QueueUrl=stack.output(output), MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


def _groups(stack: Stack, output: str) -> list[str]:
    answer = stack.aws.sqs.receive_message(
        QueueUrl=stack.output(output),
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["MessageGroupId"],
    )
    return [message["Attributes"]["MessageGroupId"] for message in answer["Messages"]]


def test_depths_are_told_by_queue(stack: Stack) -> None:
    _send(stack, "UploadQueueUrl", "1", "2")
    _send(stack, "MergeDlqUrl", "3")
    found = read_queue_depths(stack)
    assert {name: depth.messages for name, depth in found.items()} == {
        "UploadQueue": 2,
        "UploadDlq": 0,
        "SlowUploadQueue": 0,
        "SlowUploadDlq": 0,
        "MergeQueue": 0,
        "MergeDlq": 1,
        "ReconcileQueue": 0,
        "ReconcileDlq": 0,
    }
    assert [name for name, depth in found.items() if depth.dead_letters] == [
        "UploadDlq",
        "SlowUploadDlq",
        "MergeDlq",
        "ReconcileDlq",
    ]


def test_a_dead_letter_makes_a_status_unhealthy_and_a_waiting_message_does_not(
    stack: Stack,
) -> None:
    world = World()
    world.add(A)
    world.merge()
    channel = replace(admin_channel(world), stack=stack)
    _send(stack, "UploadQueueUrl", "1")
    assert status(channel).healthy
    _send(stack, "UploadDlqUrl", "2")
    assert not status(channel).healthy


def test_a_queue_that_is_gone_is_named(stack: Stack) -> None:
    stack.aws.sqs.delete_queue(QueueUrl=stack.output("MergeDlqUrl"))
    with pytest.raises(Unavailable, match=r"GetQueueAttributes .*MergeDlq"):
        read_queue_depths(stack)


def test_messages_go_back_to_the_queue_that_they_came_from(stack: Stack) -> None:
    uploads = [str(number) for number in range(25)]
    _send(stack, "UploadDlqUrl", *uploads)
    _send(stack, "SlowUploadDlqUrl", "s1")
    _send(stack, "MergeDlqUrl", "m1", "m2")
    told: list[tuple[str, int]] = []
    found = redrive(stack, on_progress=lambda queue, moved: told.append((queue, moved)))
    assert found == {
        "UploadQueue": 25,
        "SlowUploadQueue": 1,
        "MergeQueue": 2,
        "ReconcileQueue": 0,
    }
    assert told[-1] == ("MergeQueue", 2)
    assert {
        name: depth.messages for name, depth in read_queue_depths(stack).items() if depth.messages
    } == {
        "UploadQueue": 25,
        "SlowUploadQueue": 1,
        "MergeQueue": 2,
    }
    assert _groups(stack, "SlowUploadQueueUrl") == ["c"]
    assert _bodies(stack, "MergeQueueUrl") == ["m1", "m2"]


def test_a_message_that_comes_back_twice_is_sent_both_times(stack: Stack) -> None:
    for body in ("first", "second"):
        _send(stack, "MergeDlqUrl", body)
        assert redrive(stack)["MergeQueue"] == 1


def test_a_queue_that_cannot_be_reached_is_named(stack: Stack) -> None:
    _send(stack, "UploadDlqUrl", "1")
    stack.aws.sqs.delete_queue(QueueUrl=stack.output("UploadQueueUrl"))
    with pytest.raises(Unavailable, match=r"redrive of .*UploadDlq stopped after 0 messages"):
        redrive(stack)
    assert depths_of(stack, "UploadDlqUrl") == 1, "it is still there"


def depths_of(stack: Stack, output: str) -> int:
    """How many messages are in one queue, waiting or handed out."""
    answer = stack.aws.sqs.get_queue_attributes(
        QueueUrl=stack.output(output), AttributeNames=["All"]
    )["Attributes"]
    return int(answer["ApproximateNumberOfMessages"]) + int(
        answer["ApproximateNumberOfMessagesNotVisible"]
    )


def _with_event_dlq(stack: Stack) -> Stack:
    url = stack.aws.sqs.create_queue(QueueName="EventDlq")["QueueUrl"]
    return replace(stack, outputs={**stack.outputs, "EventDlqUrl": url})


def test_what_eventbridge_could_not_deliver_is_a_dead_letter(stack: Stack) -> None:
    with_rule = _with_event_dlq(stack)
    _send(with_rule, "EventDlqUrl", "event")
    depth = read_queue_depths(with_rule)["EventDlq"]
    assert (depth.messages, depth.dead_letters) == (1, True)


def test_what_eventbridge_could_not_deliver_is_sent_to_the_uploads(stack: Stack) -> None:
    with_rule = _with_event_dlq(stack)
    _send(with_rule, "UploadDlqUrl", "1")
    _send(with_rule, "EventDlqUrl", "2", "3")
    progress: list[tuple[str, int]] = []
    moved = redrive(with_rule, on_progress=lambda queue, count: progress.append((queue, count)))
    assert moved == {
        "UploadQueue": 3,
        "SlowUploadQueue": 0,
        "MergeQueue": 0,
        "ReconcileQueue": 0,
    }
    assert progress == [("UploadQueue", 1), ("UploadQueue", 3)]
    assert sorted(_bodies(with_rule, "UploadQueueUrl")) == ["1", "2", "3"]
    assert _bodies(with_rule, "EventDlqUrl") == []
