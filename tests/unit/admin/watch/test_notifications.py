"""Notifications in the forms of every server, and in no form at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.admin.watch.notifications import parse_notification
from sluice.errors import TooNew, UnknownEvent
from sluice.messages.s3_event import ObjectEvent

EVENTS = Path(__file__).parents[4] / "events"
KEY = "team/linux-64/torch-2.1+cpu-1!0.conda"
PATH = f"/buckets/channel/{KEY}"


def record(key: str, **more: Any) -> Mapping[str, Any]:
    return {"s3": {"bucket": {"name": "channel"}, "object": {"key": key, **more}}}


def entry(name: str, **more: Any) -> Mapping[str, Any]:
    return {"name": name, "attributes": {"file_size": 3, "md5": "kAFQmDzST7DWlj99KOF/cg=="}, **more}


def filer(event_type: str, path: str = PATH, **message: Any) -> bytes:
    """As SeaweedFS 4.48 sends it: fields without a value are left out."""
    document = {"event_type": event_type, "key": path, "message": message}
    return json.dumps(document).encode()


NAME = KEY.rpartition("/")[2]
FOLDER = PATH.rpartition("/")[0]

FORMS: Mapping[str, tuple[bytes, list[ObjectEvent]]] = {
    "s3": (
        json.dumps(
            {"Records": [record(KEY.replace("+", "%2B").replace("!", "%21"), size=7)]}
        ).encode(),
        [ObjectEvent("channel", KEY, 7)],
    ),
    "ceph": (
        json.dumps(
            {"Records": [{"eventVersion": "2.2", "eventSource": "ceph:s3", **record(KEY, size=1)}]}
        ).encode(),
        [ObjectEvent("channel", KEY, 1)],
    ),
    "minio": (
        json.dumps(
            {
                "EventName": "s3:ObjectCreated:Put",
                "Key": f"channel/{KEY}",
                "Records": [record(KEY.replace("/", "%2F").replace("+", "%2B"), size=7)],
            }
        ).encode(),
        [ObjectEvent("channel", KEY, 7)],
    ),
    "eventbridge": (
        json.dumps(
            {
                "source": "aws.s3",
                "detail": {"bucket": {"name": "channel"}, "object": {"key": KEY, "size": 7}},
            }
        ).encode(),
        [ObjectEvent("channel", KEY, 7)],
    ),
    "test event": (b'{"Service":"Amazon S3","Event":"s3:TestEvent"}', []),
    "filer creates": (
        filer("create", new_entry=entry(NAME), new_parent_path=FOLDER, delete_chunks=True),
        [ObjectEvent("channel", KEY, 3)],
    ),
    "filer updates": (
        filer("update", old_entry=entry(NAME), new_entry=entry(NAME), new_parent_path=FOLDER),
        [ObjectEvent("channel", KEY, 3)],
    ),
    "filer deletes": (
        filer("delete", old_entry=entry(NAME)),
        [ObjectEvent("channel", KEY, None)],
    ),
    "filer renames": (
        filer(
            "rename",
            old_entry=entry(NAME),
            new_entry=entry("other-1-0.conda"),
            new_parent_path="/buckets/channel/team/noarch",
        ),
        [
            ObjectEvent("channel", "team/noarch/other-1-0.conda", 3),
            ObjectEvent("channel", KEY, None),
        ],
    ),
    "filer creates a folder": (
        filer(
            "create",
            FOLDER,
            new_entry=entry("linux-64", is_directory=True),
            new_parent_path=FOLDER.rpartition("/")[0],
        ),
        [],
    ),
    "filer creates a bucket": (
        filer("create", "/buckets/channel", new_entry=entry("channel"), new_parent_path="/buckets"),
        [],
    ),
    "filer creates a file elsewhere": (
        filer("create", "/etc/x", new_entry=entry("x"), new_parent_path="/etc"),
        [],
    ),
    "filer without sizes": (
        filer("create", new_entry={"name": NAME}, new_parent_path=FOLDER),
        [ObjectEvent("channel", KEY, None)],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_names_its_objects(form: str) -> None:
    body, expected = FORMS[form]
    assert parse_notification(body) == expected


@pytest.mark.parametrize("name", ["extract-s3-put.json", "extract-eventbridge-created.json"])
def test_what_aws_sends_is_understood(name: str) -> None:
    assert parse_notification((EVENTS / name).read_bytes())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"nonsense",
        b"{}",
        b"[]",
        b"1",
        b'{"Records": [{}]}',
        b'{"key": 1}',
        b"[" * 10**5,
    ],
)
def test_what_is_no_notification_is_an_unknown_event(body: bytes) -> None:
    with pytest.raises(UnknownEvent):
        parse_notification(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "key",
                    "event_type",
                    "message",
                    "old_entry",
                    "new_entry",
                    "name",
                    "attributes",
                    "file_size",
                    "new_parent_path",
                    "is_directory",
                    "Records",
                    "s3",
                    "bucket",
                    "object",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_no_document_raises_anything_else(document: Any) -> None:
    try:
        events = parse_notification(json.dumps(document).encode())
    except (UnknownEvent, TooNew):
        return
    assert all(isinstance(event, ObjectEvent) for event in events)
