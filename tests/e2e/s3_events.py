"""S3's events about one object, made of the sample events in ``events/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

_SAMPLES = Path(__file__).parents[2] / "events"

Event = dict[str, Any]


def notification(bucket: str, key: str, *, name: str = "ObjectCreated:Put") -> Event:
    """What S3 puts into a queue, or calls a function with; the key is encoded as there."""
    event: Event = json.loads((_SAMPLES / "extract-s3-put.json").read_text())
    (record,) = event["Records"]
    record["eventName"] = name
    record["s3"]["bucket"] = {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}
    record["s3"]["object"] = {"key": quote(key, safe="/"), "sequencer": "0055AED6DCD90281E5"}
    return event


def removal(bucket: str, key: str) -> Event:
    """The notification that an object was deleted."""
    return notification(bucket, key, name="ObjectRemoved:DeleteMarkerCreated")


def eventbridge(bucket: str, key: str) -> Event:
    """What EventBridge hands on; keys are as they are."""
    event: Event = json.loads((_SAMPLES / "extract-eventbridge-created.json").read_text())
    event["detail"]["bucket"] = {"name": bucket}
    event["detail"]["object"] = {"key": key, "sequencer": "00617F08299329D189"}
    return event


def trial(bucket: str) -> Event:
    """S3's TestEvent, sent when notifications are set up."""
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-01-01T00:00:00.000Z",
        "Bucket": bucket,
        "RequestId": "5582815E1AEA5ADF",
        "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
    }
