"""Every shape of an S3 event, reduced to the object that it is about."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.errors import TooNew, UnknownEvent
from sluice.messages import s3_event
from sluice.messages.s3_event import ObjectEvent


def notification(key: str, name: str = "ObjectCreated:Put", **more: Any) -> dict[str, Any]:
    """One record of an S3 notification, with what AWS sends beside what matters."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "channel", "arn": "arn:aws:s3:::channel"},
            "object": {"key": key, "eTag": "e", "sequencer": "0055AED6DCD90281E5", **more},
        },
    }


def eventbridge(key: str, **more: Any) -> dict[str, Any]:
    """What EventBridge makes of it."""
    return {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {"bucket": {"name": "channel"}, "object": {"key": key, **more}},
    }


@pytest.mark.parametrize(
    ("event", "objects"),
    [
        ({"Records": [notification("a", size=7)]}, [ObjectEvent("channel", "a", 7)]),
        (
            {"Records": [notification("a", size=7), notification("b", "ObjectRemoved:Delete")]},
            [ObjectEvent("channel", "a", 7), ObjectEvent("channel", "b", None)],
        ),
        (
            {"Records": [notification("a", "LifecycleExpiration:Delete")]},
            [ObjectEvent("channel", "a", None)],
        ),
        (eventbridge("a", size=7), [ObjectEvent("channel", "a", 7)]),
        (eventbridge("a"), [ObjectEvent("channel", "a", None)]),
        ({"Records": [notification("a", size="7")]}, [ObjectEvent("channel", "a", None)]),
        ({"Records": []}, []),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "channel"}, []),
    ],
)
def test_every_shape_names_its_objects(event: dict[str, Any], objects: list[ObjectEvent]) -> None:
    assert s3_event.parse_s3_event(event) == objects
    assert s3_event.parse_s3_event_body(json.dumps(event)) == objects


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("c/linux-64/torch-2.1%2Bcpu-0.conda", "c/linux-64/torch-2.1+cpu-0.conda"),
        ("c/linux-64/torch-2.1+cpu-0.conda", "c/linux-64/torch-2.1+cpu-0.conda"),
        ("c/linux-64/a-1%212.0-0.conda", "c/linux-64/a-1!2.0-0.conda"),
        ("c/linux-64/a-1!2.0-0.conda", "c/linux-64/a-1!2.0-0.conda"),
        ("Conda/Default/noarch/_a-1-0.conda", "Conda/Default/noarch/_a-1-0.conda"),
        ("caf%C3%A9/noarch/a-1-0.conda", "café/noarch/a-1-0.conda"),
        ("café/noarch/a-1-0.conda", "café/noarch/a-1-0.conda"),
        ("my%20team/noarch/a-1-0.conda", "my team/noarch/a-1-0.conda"),
        ("a%2541/noarch/a-1-0.conda", "a%41/noarch/a-1-0.conda"),
    ],
)
def test_a_key_is_understood_encoded_or_not_on_every_route_and_keeps_its_plus(
    written: str, key: str
) -> None:
    look = {"format": 1, "sluice": "look", "bucket": "channel", "key": written, "size": 7}
    for event in ({"Records": [notification(written)]}, eventbridge(written), look):
        assert [one.key for one in s3_event.parse_s3_event(event)] == [key]


@pytest.mark.parametrize(
    "event",
    [
        None,
        7,
        "text",
        [],
        {},
        {"Records": {}},
        {"Records": [{}]},
        {"Records": [{"s3": {"bucket": {"name": "c"}}}]},
        {"Records": [{"s3": {"bucket": {"name": "c"}, "object": {"size": 7}}}]},
        {"Records": [{"s3": {"bucket": {"name": "c"}, "object": {"key": None}}}]},
        {"Records": [{"s3": {"bucket": {"name": 7}, "object": {"key": "a"}}}]},
        {"Records": [notification("a"), {"eventSource": "aws:sns"}]},
        {"Event": "s3:OtherEvent"},
        {"source": "aws.ec2", "detail": {"bucket": {"name": "c"}, "object": {"key": "a"}}},
        {"source": "aws.s3", "detail": {"bucket": {"name": "c"}}},
        {"source": "aws.s3", "detail": {"bucket": {"name": "c"}, "object": {}}},
    ],
)
def test_anything_else_is_an_unknown_event(event: object) -> None:
    with pytest.raises(UnknownEvent):
        s3_event.parse_s3_event(event)
    with pytest.raises(UnknownEvent):
        s3_event.parse_s3_event_body(json.dumps(event))


def test_a_body_that_is_not_json_is_an_unknown_event() -> None:
    with pytest.raises(UnknownEvent, match="not an S3 event: Input data was truncated"):
        s3_event.parse_s3_event_body("{")


def test_a_body_nested_beyond_measure_is_an_unknown_event() -> None:
    with pytest.raises(UnknownEvent, match="not an S3 event"):
        s3_event.parse_s3_event_body("[" * 100_000)


def test_an_unknown_event_is_quoted_in_bounded_length() -> None:
    with pytest.raises(UnknownEvent) as raised:
        s3_event.parse_s3_event({"x": "y" * 10_000})
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("key", ["a", "odd + ü-1-0.conda", "a%", "line\nbreak", "\ufffe\uffff\x01"])
@pytest.mark.parametrize("size", [0, None])
def test_a_look_names_an_object_exactly(key: str, size: int | None) -> None:
    event = ObjectEvent("channel", key, size)
    body = s3_event.upload_message(event)
    assert s3_event.parse_s3_event_body(body) == [event]
    assert body.isascii()


def test_a_look_is_of_a_format_that_a_later_sluice_may_change() -> None:
    body = s3_event.upload_message(ObjectEvent("channel", "a", 7))
    assert json.loads(body) == {
        "format": 1,
        "sluice": "look",
        "bucket": "channel",
        "key": "a",
        "size": 7,
    }
    with pytest.raises(TooNew, match=r"request to check an object has format 2, .* up to 1"):
        s3_event.parse_s3_event({**json.loads(body), "format": 2})


@pytest.mark.parametrize("missing", ["format", "bucket", "key"])
def test_a_look_that_lacks_something_is_unknown(missing: str) -> None:
    body = json.loads(s3_event.upload_message(ObjectEvent("channel", "a", 7)))
    del body[missing]
    with pytest.raises(UnknownEvent):
        s3_event.parse_s3_event(body)
