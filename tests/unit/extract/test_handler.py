"""The extract handler: what an event leads to, and what happens to a message that fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluice.errors import Unavailable, UnknownEvent
from sluice.extract import handler
from sluice.extract.handler import (
    ChannelNotified,
    ConfigChange,
    EventIgnored,
    ExtractContext,
    Outcome,
    PackageStaged,
    route_event,
)
from sluice.extract.metrics import extract_log_line, upload_retry_fields
from sluice.extract.staging import Removed
from sluice.layout import PackageKey, Subdir
from sluice.messages.delivery import Delivery
from sluice.messages.s3_event import ObjectEvent, upload_message
from testkit.memory_store import LostAnswer
from testkit.system import BUCKET, System

NOW_MS = 1_750_000_000_000
LINUX = Subdir("team", "linux-64")
KEY = PackageKey(LINUX, "alpha-1.0-0.conda")
OTHER = PackageKey(LINUX, "beta-1.0-0.conda")


def context(system: System) -> ExtractContext:
    return ExtractContext(system.extractor, system.uploads, BUCKET)


def deliver(system: System, body: str, *, receive_count: int = 1) -> list[Outcome]:
    outcomes: list[Outcome] = []
    delivery = Delivery(body, "handle", receive_count)
    handler.run(delivery, context(system), on_outcome=outcomes.append)
    return outcomes


def about(key: str, *, bucket: str = BUCKET) -> ObjectEvent:
    return ObjectEvent(bucket, key, None)


@pytest.mark.parametrize(
    ("event", "routed"),
    [
        (about(KEY.key), KEY),
        (about("team/sluice.toml"), ConfigChange("team")),
        (about("sluice.toml"), ConfigChange("")),
        (about("team/linux-64/repodata.json"), None),
        (about(KEY.key, bucket="another"), None),
        (about("team/sluice.toml", bucket="another"), None),
    ],
)
def test_an_event_is_about_a_package_a_configuration_or_nothing(
    event: ObjectEvent, routed: object
) -> None:
    assert route_event(event, bucket=BUCKET) == routed


def test_prefixes_are_for_packages_alone() -> None:
    prefixes = ("other/", "team/noarch/")
    assert route_event(about(KEY.key), bucket=BUCKET, prefixes=prefixes) is None
    assert route_event(about("team/noarch/a-1-0.conda"), bucket=BUCKET, prefixes=prefixes)
    assert route_event(about("team/sluice.toml"), bucket=BUCKET, prefixes=prefixes) == ConfigChange(
        "team"
    )


def test_each_outcome_is_told_by_a_line_of_log() -> None:
    system = System(NOW_MS)
    (staged,) = deliver(system, upload_message(about(KEY.key)))
    (notified,) = deliver(system, upload_message(about("team/sluice.toml")))
    (ignored,) = deliver(system, upload_message(about("team/notes.txt")))
    assert isinstance(staged, PackageStaged)
    assert isinstance(staged.record, Removed)
    assert notified == ChannelNotified("team", [LINUX, Subdir("team", "noarch")])
    assert ignored == EventIgnored("team/notes.txt")
    assert [extract_log_line(outcome) for outcome in (staged, notified, ignored)] == [
        (
            "info",
            "staged",
            {
                "channel": "team",
                "subdir": "linux-64",
                "filename": KEY.filename,
                "verdict": "removed",
            },
        ),
        ("info", "configured", {"channel": "team", "subdirs": ["linux-64", "noarch"]}),
        ("debug", "not a package of this channel bucket", {"key": "team/notes.txt"}),
    ]


def test_what_came_before_a_failure_is_told_and_the_message_given_back() -> None:
    system = System(NOW_MS)

    def lose(operation: str, key: str) -> None:
        if (operation, OTHER.filename in key) == ("PutObject", True):
            raise LostAnswer

    system.state.before = lose
    outcomes: list[Outcome] = []
    events = [about(KEY.key), about(OTHER.key)]
    with pytest.raises(Unavailable):
        handler.handle_events(events, context(system), on_outcome=outcomes.append)
    assert [type(outcome) for outcome in outcomes] == [PackageStaged]
    assert system.uploads.visibility == []  # it was no message
    with pytest.raises(Unavailable):
        deliver(system, upload_message(about(OTHER.key)), receive_count=3)
    assert system.uploads.visibility == [("handle", 240)]


def test_what_is_no_event_is_given_back_as_well() -> None:
    system = System(NOW_MS)
    with pytest.raises(UnknownEvent):
        deliver(system, "no event")
    assert system.uploads.visibility == [("handle", 15)]


def test_the_last_receipt_of_a_message_stages_a_reject_first() -> None:
    system = System(NOW_MS)
    system.upload({KEY.key: b"corrupt"})
    system.extractor = replace(system.extractor, receives_max=2)
    deliver(system, upload_message(about(KEY.key)), receive_count=1)
    assert len(system.state.keys("staging/")) == 1
    deliver(system, upload_message(about(KEY.key)), receive_count=2)
    assert len(system.state.keys("staging/")) == 3


def test_a_failure_is_logged_with_its_message() -> None:
    assert upload_retry_fields(Delivery("body", "handle", 2)) == {
        "received": 2,
        "wait_seconds": 60,
        "event": "body",
    }
