"""The extract handler: what an event leads to, and what happens to a message that fails."""

from __future__ import annotations

import json
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
    PackageDeferred,
    PackageStaged,
    route_event,
)
from sluice.extract.lanes import first_lane, slow_lane
from sluice.extract.metrics import extract_log_line, upload_retry_fields
from sluice.extract.staging import Indexed, Removed, decode_staging_record
from sluice.layout import PackageKey, Subdir
from sluice.limits import FIRST_READ_INDEX_BYTES_MAX
from sluice.messages.delivery import Delivery
from sluice.messages.s3_event import ObjectEvent, parse_s3_event_body, upload_message
from testkit.memory_store import LostAnswer
from testkit.system import BUCKET, SLOW_QUEUE, System
from tests.support.package_archives import INDEX, TAR_BZ2, Entry, index_entry, tar_bz2

NOW_MS = 1_750_000_000_000
LINUX = Subdir("team", "linux-64")
KEY = PackageKey(LINUX, "alpha-1.0-0.conda")
OTHER = PackageKey(LINUX, "beta-1.0-0.conda")


def context(system: System) -> ExtractContext:
    return system.extract_context()


def deliver(
    system: System, body: str, *, receive_count: int = 1, queue: str = "uploads"
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    delivery = Delivery(body, "handle", receive_count, queue)
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


# --- the slow lane ------------------------------------------------------------------------

SLOW = PackageKey(LINUX, TAR_BZ2)
BEFORE = Entry("info/licenses/long.txt", bytes(FIRST_READ_INDEX_BYTES_MAX))
SLOW_BODY = tar_bz2(BEFORE, index_entry({**INDEX, "subdir": "linux-64"}))


def slow_system() -> System:
    system = System(NOW_MS)
    system.upload({SLOW.key: SLOW_BODY, KEY.key: b"corrupt"})
    return system


def test_a_package_that_is_slow_to_read_is_left_to_the_slow_lane() -> None:
    system = slow_system()
    event = ObjectEvent(BUCKET, SLOW.key, len(SLOW_BODY))
    (deferred,) = deliver(system, upload_message(event))
    assert isinstance(deferred, PackageDeferred)
    assert (system.state.keys("staging/"), system.merges.messages) == ([], [])
    assert system.slow_uploads.tenants == ["team"]
    (body,) = system.slow_uploads.bodies
    assert parse_s3_event_body(body) == [event]
    (staged,) = deliver(system, body, queue=SLOW_QUEUE)
    assert isinstance(staged, PackageStaged)
    assert isinstance(staged.record, Indexed)
    assert len(system.merges.messages) == 1


def test_it_is_logged_with_the_limit_that_it_exceeds() -> None:
    (deferred,) = deliver(slow_system(), upload_message(about(SLOW.key)))
    level, message, fields = extract_log_line(deferred)
    assert (level, message) == ("info", "to be read in the slow lane")
    assert (
        fields.items()
        >= {
            "channel": "team",
            "subdir": "linux-64",
            "filename": SLOW.filename,
            "code": "info-too-large",
        }.items()
    )


def test_nobody_who_shares_a_message_waits_for_a_slow_package() -> None:
    system = slow_system()
    records = [
        {"s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}} for key in (SLOW.key, KEY.key)
    ]
    outcomes = deliver(system, json.dumps({"Records": records}))
    assert [type(outcome) for outcome in outcomes] == [PackageDeferred, PackageStaged]
    assert len(system.slow_uploads.bodies) == 1


def test_an_event_without_a_queue_can_be_about_a_slow_package_too() -> None:
    system = slow_system()
    handler.handle_events([about(SLOW.key)], context(system))
    assert len(system.slow_uploads.bodies) == 1


def test_an_upload_comes_again_where_the_slow_lane_did_not_answer() -> None:
    system = slow_system()

    def lose(_operation: str, _key: str) -> None:
        raise LostAnswer

    system.slow_uploads.after = lose
    with pytest.raises(Unavailable):
        deliver(system, upload_message(about(SLOW.key)))
    assert (system.uploads.visibility, system.slow_uploads.visibility) == ([("handle", 15)], [])


def test_a_failure_in_the_slow_lane_goes_back_to_the_slow_lane() -> None:
    system = slow_system()

    def lose(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise LostAnswer

    system.state.before = lose
    for count, seconds in ((1, 60), (2, 240)):
        with pytest.raises(Unavailable):
            deliver(system, upload_message(about(SLOW.key)), queue=SLOW_QUEUE, receive_count=count)
        assert system.slow_uploads.visibility[-1] == ("handle", seconds)
    assert system.uploads.visibility == []


def test_the_last_receipt_in_the_slow_lane_stages_a_reject_first() -> None:
    system = slow_system()
    system.extractor = replace(system.extractor, receives_max=2)
    deliver(system, upload_message(about(SLOW.key)), queue=SLOW_QUEUE, receive_count=2)
    bodies = [system.state.body(key) for key in system.state.keys("staging/")]
    assert sorted(type(decode_staging_record(body)) is Indexed for body in bodies) == [False, True]


def test_a_failure_is_logged_with_its_message() -> None:
    delivery = Delivery("body", "handle", 2)
    system = System(NOW_MS)
    for lane, seconds in ((first_lane(system.uploads), 60), (slow_lane(system.slow_uploads), 240)):
        assert upload_retry_fields(delivery, lane) == {
            "received": 2,
            "wait_seconds": seconds,
            "event": "body",
        }
