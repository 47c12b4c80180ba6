"""Events about objects, parsed from every form in which they can reach a function.

Events are hints: sluice reads the object, and neither the name of the event nor its sequencer.
Besides S3's events there is one of sluice's own, ``look``, for objects without an S3 event.  The
keys of all forms are decoded by the same rule, ``layout.decode_key``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sluice.errors import DECODE_ERRORS, TooNew, UnknownEvent
from sluice.layout import decode_key
from sluice.storage.queue import encode_message

LOOK_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """Something happened to this object."""

    bucket: str
    key: str
    size: int | None
    """Bytes, if the event has them; a hint for how to read the object."""


def upload_message(event: ObjectEvent) -> str:
    """Request a check of an object, as the body of a message.

    The key is one of a package, so it holds no ``%``, and decoding leaves it as it is.
    """
    message = {
        "format": LOOK_FORMAT,
        "sluice": "look",
        "bucket": event.bucket,
        "key": event.key,
        "size": event.size,
    }
    return encode_message(message)


def parse_s3_event_body(body: str) -> list[ObjectEvent]:
    """Parse the body of an SQS message; raises ``UnknownEvent`` if it holds no S3 event."""
    try:
        event = msgspec.json.decode(body)
    except DECODE_ERRORS as error:
        raise UnknownEvent(f"not an S3 event: {error}") from error
    return parse_s3_event(event)


def parse_s3_event(event: Any) -> list[ObjectEvent]:
    """Parse an S3 notification, an EventBridge event, S3's test event (no objects) or a ``look``.

    Forms: AWS documentation, "Event message structure" (S3) and "EventBridge event message
    structure" (S3).  Raises ``UnknownEvent`` for anything else, and ``TooNew``.
    """
    match event:
        case {"Records": [*records]}:
            return [_from_notification(record) for record in records]
        case {"Event": "s3:TestEvent"}:
            return []
        case {"source": "aws.s3", "detail": {"bucket": {"name": str(bucket)}, "object": o}}:
            return [_object(bucket, o)]
        case {"sluice": "look", "format": int(version)} if version > LOOK_FORMAT:
            raise TooNew(
                f"the request to check an object has format {version}, but this version of sluice "
                f"reads formats up to {LOOK_FORMAT}"
            )
        case {"sluice": "look", "format": int(), "bucket": str(bucket), "key": str(key)}:
            return [ObjectEvent(bucket, decode_key(key), _size(event))]
    raise UnknownEvent(f"not an S3 event: {_abbreviated(event)}")


def _from_notification(record: Any) -> ObjectEvent:
    match record:
        case {"s3": {"bucket": {"name": str(bucket)}, "object": o}}:
            return _object(bucket, o)
    raise UnknownEvent(f"not a record of an S3 notification: {_abbreviated(record)}")


def _object(bucket: str, description: Any) -> ObjectEvent:
    match description:
        case {"key": str(key), **others}:
            return ObjectEvent(bucket, decode_key(key), _size(others))
    raise UnknownEvent(f"an S3 event without an object key: {_abbreviated(description)}")


def _size(description: Mapping[Any, Any]) -> int | None:
    size = description.get("size")
    return size if isinstance(size, int) else None


def _abbreviated(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
