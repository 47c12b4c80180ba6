"""What ``sluice status --stack`` says about queues and notifications, and with what it exits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.admin.session.notifications import Notifications
from sluice.admin.session.stack import Stack
from sluice.cli.exits import Exit
from tests.support.admin_channel import admin_channel
from tests.support.fake_stack import (
    CHANNEL_BUCKET,
    REGION,
    make_channel_bucket,
    make_queues,
    stack_of,
)
from tests.support.staging_records import A
from tests.support.subdir_world import World
from tests.unit.cli.conftest import Call, caller

CHANNEL = f"s3://{CHANNEL_BUCKET}/Conda/Default"


@pytest.fixture
def stack(moto: None) -> Stack:
    assert moto is None
    aws = Aws(region=REGION)
    queues = make_queues(aws)
    make_channel_bucket(aws, queues)
    queues["EventDlqUrl"] = aws.sqs.create_queue(QueueName="EventDlq")["QueueUrl"]
    return stack_of(aws, queues)


@pytest.fixture
def sluice(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    world = World()
    world.add(A)
    world.merge()

    def channel(_opener: Opener, _address: Address, *, name: str | None = None) -> Channel:
        del name
        return replace(admin_channel(world), stack=stack)

    monkeypatch.setattr(Opener, "channel", channel)
    return caller(monkeypatch, capsys)


def found(monkeypatch: pytest.MonkeyPatch, **notifications: Any) -> None:
    """Let the bucket be one of which this is found."""
    monkeypatch.setattr(
        "sluice.admin.history.status.read_notifications",
        lambda _stack: Notifications(**notifications),
    )


def test_where_the_bucket_sends_its_events_there_is_nothing_to_say(sluice: Call) -> None:
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.OK
    assert "events" not in answer.out
    told = sluice("status", CHANNEL, "--json").json
    assert told["notifications"] == {"needed": "sqs", "missing": [], "unread": None}


def test_events_that_are_not_sent_are_named_and_exit_with_1(sluice: Call, stack: Stack) -> None:
    stack.aws.s3_configuration.put_bucket_notification_configuration(
        Bucket=CHANNEL_BUCKET, NotificationConfiguration={}
    )
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.ISSUES_FOUND
    said = " ".join(answer.out.split())
    assert "channels does not send these events to UploadQueue" in said
    assert "s3:ObjectCreated:* .conda" in said
    assert "Add the events to the bucket" in said


def test_eventbridge_that_is_off_is_told_with_what_to_do(
    sluice: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, needed="eventbridge", missing=["eventbridge"], unread=None)
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.ISSUES_FOUND
    said = " ".join(answer.out.split())
    assert "channels does not send its events to EventBridge" in said
    assert "Turn on EventBridge in the bucket's properties" in said


def test_without_the_right_to_look_it_says_that_it_could_not(
    sluice: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, needed="sqs", missing=[], unread="AccessDenied\x1b[31m: no")
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.OK
    said = " ".join(answer.out.split())
    assert "Cannot check whether channels sends its events to the stack" in said
    assert "(needs s3:GetBucketNotification): AccessDenied" in said
    assert "\x1b[31m" not in answer.out


def test_what_eventbridge_could_not_deliver_is_among_the_dead_letters(
    sluice: Call, stack: Stack
) -> None:
    stack.aws.sqs.send_message(QueueUrl=stack.output("EventDlqUrl"), MessageBody="{}")
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.ISSUES_FOUND
    (line,) = [line for line in answer.out.splitlines() if line.startswith("EventBridge")]
    assert line.split() == ["EventBridge", "1"]
