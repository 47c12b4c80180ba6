"""Events are hints: in whatever shape, order and number they come, the index is the bucket's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from testkit.channel import Package, conda
from testkit.deployed import Channel
from tests.e2e import s3_events
from tests.e2e.s3_events import Event


def package(name: str, *, payload: bytes = b"") -> Package:
    index: dict[str, Any] = {
        "name": name,
        "version": "2.1+cpu",
        "build": "h0_0",
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
    }
    return conda(index, payload=payload)


ONCE, GONE, BACK = package("once"), package("gone"), package("back")
REBUILT = package("back", payload=b"rebuilt")


@pytest.mark.parametrize(
    "shape", [s3_events.notification, s3_events.eventbridge], ids=["S3", "EventBridge"]
)
def test_a_function_called_with_the_event_itself_indexes_the_package(
    channel: Channel, shape: Callable[[str, str], Event]
) -> None:
    with channel.deployed.without_events():
        channel.upload(ONCE)
    channel.deployed.wait_until_quiet()
    assert channel.indexes() == {}  # nobody has told the functions yet
    bucket = channel.deployed.stack.channel_bucket
    assert channel.deployed.invoke_extract(shape(bucket, channel.key(ONCE))) is None
    channel.wait_until_it_holds(ONCE)


def test_the_test_event_of_s3_comes_to_nothing(channel: Channel) -> None:
    event = s3_events.trial(channel.deployed.stack.channel_bucket)
    assert channel.deployed.invoke_extract(event) is None
    channel.deployed.replay(event)
    channel.deployed.wait_until_quiet()
    assert channel.deployed.depths()["UploadDlq"] == 0


def test_events_that_are_late_repeated_and_out_of_order_change_nothing(channel: Channel) -> None:
    bucket = channel.deployed.stack.channel_bucket
    channel.upload(ONCE, GONE, BACK)
    channel.wait_until_it_holds(ONCE, GONE, BACK)
    channel.delete(GONE, BACK)
    channel.upload(REBUILT)
    # The removal of the package that is back overtakes its upload, or comes after it.
    channel.deployed.replay(
        s3_events.removal(bucket, channel.key(BACK)),
        s3_events.notification(bucket, channel.key(GONE)),
    )
    at_rest = channel.wait_until_it_holds(ONCE, REBUILT)

    channel.deployed.replay(
        s3_events.notification(bucket, channel.key(GONE)),
        s3_events.removal(bucket, channel.key(BACK)),
        *[s3_events.notification(bucket, channel.key(ONCE))] * 3,
        s3_events.removal(bucket, channel.key(ONCE)),
    )
    channel.deployed.wait_until_quiet()
    assert channel.wait_until_it_holds(ONCE, REBUILT) == at_rest
    assert channel.staged("linux-64") == []
    seen = channel.deployed.lines(
        channel.deployed.stack.extract_function, channel=channel.name, filename=GONE.filename
    )
    assert [line["verdict"] for line in seen] == ["indexed", "removed", "removed", "removed"]
