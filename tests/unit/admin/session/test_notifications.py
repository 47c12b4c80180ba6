"""Does the bucket still send its events where the stack needs them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sluice.admin.history.status import status
from sluice.admin.session.aws import Aws
from sluice.admin.session.notifications import (
    NEEDED,
    missing_notifications,
    read_notifications,
)
from sluice.admin.session.stack import Stack
from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.errors import Unavailable
from sluice.layout import SLUICE_TOML
from tests.support.admin_channel import admin_channel
from tests.support.fake_stack import CHANNEL_BUCKET, PARAMETERS, REGION, make_queues, stack_of
from tests.support.staging_records import A
from tests.support.subdir_world import World
from tests.support.template import properties

QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/sluice-upload"
QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:sluice-upload"
EVENTS = list(dict.fromkeys(event for event, _ in NEEDED))
SUFFIXES = (*PACKAGE_SUFFIXES, SLUICE_TOML)
EVERYTHING = [f"{event} {suffix}" for event, suffix in NEEDED]


def to_queue(
    *events: str, arn: str = QUEUE_ARN, suffix: str | None = None, prefix: str | None = None
) -> dict[str, Any]:
    """A configuration as S3 returns it."""
    rules = [
        {"Name": name, "Value": value}
        for name, value in (("Suffix", suffix), ("Prefix", prefix))
        if value is not None
    ]
    configured: dict[str, Any] = {"Id": "x", "QueueArn": arn, "Events": list(events)}
    return configured | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})


def complete() -> list[dict[str, Any]]:
    return [to_queue(event, suffix=suffix) for event, suffix in NEEDED]


def missing(*configured: Mapping[str, Any], prefixes: tuple[str, ...] = ("",)) -> list[str]:
    return missing_notifications(
        {"QueueConfigurations": configured}, queue_url=QUEUE_URL, prefixes=prefixes
    )


def test_what_is_needed_is_what_the_template_configures() -> None:
    configured = [
        to_queue(one["Event"], suffix=one["Filter"]["S3Key"]["Rules"][0]["Value"])
        for one in properties("ChannelBucket")["NotificationConfiguration"]["QueueConfigurations"]
    ]
    assert missing(*configured) == []
    for left_out in range(len(configured)):
        assert len(missing(*configured[:left_out], *configured[left_out + 1 :])) == 1


def test_nothing_configured_is_all_missing() -> None:
    assert missing() == EVERYTHING
    assert missing_notifications({}, queue_url=QUEUE_URL) == EVERYTHING


def test_each_event_and_each_kind_of_key_is_named_that_is_missing() -> None:
    without = [one for one in complete() if one["Events"] != ["s3:ObjectRemoved:*"]]
    assert missing(*without) == [f"s3:ObjectRemoved:* {suffix}" for suffix in SUFFIXES]


def test_events_that_go_to_another_queue_do_not_count() -> None:
    elsewhere = QUEUE_ARN.replace("sluice", "other")
    assert missing(*(one | {"QueueArn": elsewhere} for one in complete())) == EVERYTHING
    other_account = QUEUE_ARN.replace("1234", "4321")
    assert missing(*(one | {"QueueArn": other_account} for one in complete())) == EVERYTHING


def test_a_wider_configuration_is_as_good() -> None:
    assert missing(to_queue(*EVENTS)) == []
    wide = [to_queue(*EVENTS, suffix=suffix) for suffix in (".conda", ".bz2", ".toml")]
    assert missing(*wide) == []


def test_a_filter_by_prefix_is_enough_where_no_other_keys_are_looked_at() -> None:
    team = [
        one for suffix in SUFFIXES for one in [to_queue(*EVENTS, suffix=suffix, prefix="team/")]
    ]
    assert missing(*team) == EVERYTHING
    assert missing(*team, prefixes=("team/", "team/sub/")) == []
    assert missing(*team, prefixes=("team/", "crew/")) == EVERYTHING


def test_a_bucket_that_existed_needs_eventbridge_and_nothing_else() -> None:
    assert missing_notifications({}, queue_url=None) == ["eventbridge"]
    assert missing_notifications({"QueueConfigurations": complete()}, queue_url=None) == [
        "eventbridge"
    ]
    assert missing_notifications({"EventBridgeConfiguration": {}}, queue_url=None) == []


# --- what is read ---------------------------------------------------------------------------------


@pytest.fixture
def stack(moto: None) -> Stack:
    assert moto is None
    aws = Aws(region=REGION)
    aws.s3_configuration.create_bucket(Bucket=CHANNEL_BUCKET)
    return stack_of(aws, make_queues(aws))


def configure(stack: Stack, configuration: Any) -> None:
    stack.aws.s3_configuration.put_bucket_notification_configuration(
        Bucket=CHANNEL_BUCKET, NotificationConfiguration=configuration
    )


def of_existing_bucket(stack: Stack) -> Stack:
    return replace(stack, parameters={**PARAMETERS, "ExistingChannelBucketName": CHANNEL_BUCKET})


def turn_eventbridge_on(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer as S3 does; moto keeps an empty element and does not return it."""
    client = stack.aws.s3_configuration
    stored = client.get_bucket_notification_configuration(Bucket=CHANNEL_BUCKET)
    monkeypatch.setattr(
        client,
        "get_bucket_notification_configuration",
        lambda **_: {**stored, "EventBridgeConfiguration": {}},
    )


def denied(stack: Stack, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        told: Any = {"Error": {"Code": code, "Message": "No."}}
        raise ClientError(told, "GetBucketNotificationConfiguration")

    monkeypatch.setattr(stack.aws.s3_configuration, "get_bucket_notification_configuration", refuse)


def test_a_bucket_of_the_stack_is_read_and_compared(stack: Stack) -> None:
    found = read_notifications(stack)
    assert (found.needed, found.missing, found.unread) == ("sqs", EVERYTHING, None)
    arn = stack.aws.sqs.get_queue_attributes(
        QueueUrl=stack.output("UploadQueueUrl"), AttributeNames=["QueueArn"]
    )["Attributes"]["QueueArn"]
    heard = [event for event in EVENTS if event != "s3:LifecycleExpiration:*"]
    configure(stack, {"QueueConfigurations": [to_queue(*heard, arn=arn)]})
    assert read_notifications(stack).missing == [
        f"s3:LifecycleExpiration:* {suffix}" for suffix in SUFFIXES
    ]


def test_a_bucket_that_existed_is_read_and_compared(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing = of_existing_bucket(stack)
    found = read_notifications(existing)
    assert (found.needed, found.missing) == ("eventbridge", ["eventbridge"])
    turn_eventbridge_on(stack, monkeypatch)
    assert read_notifications(existing).missing == []


def test_without_the_right_to_look_it_says_so(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied(stack, "AccessDenied", monkeypatch)
    found = read_notifications(stack)
    assert found.missing == []
    assert "AccessDenied" in str(found.unread)


def test_an_s3_that_does_not_answer_is_no_want_of_rights(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied(stack, "SlowDown", monkeypatch)
    with pytest.raises(Unavailable, match="GetBucketNotificationConfiguration channels"):
        read_notifications(stack)


def test_a_status_is_healthy_where_nothing_is_missing_or_nobody_could_look(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.add(A)
    world.merge()
    existing = replace(admin_channel(world), stack=of_existing_bucket(stack))
    assert not status(existing).healthy
    turn_eventbridge_on(stack, monkeypatch)
    assert status(existing).healthy
    denied(stack, "AccessDenied", monkeypatch)
    report = status(existing)
    assert report.healthy
    assert report.notifications
    assert report.notifications.unread
    assert status(admin_channel(world)).notifications is None
