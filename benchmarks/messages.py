"""The events that Lambda would hand to the functions.  Pure, but for the ids of messages."""

from __future__ import annotations

import json
import uuid
from typing import Any

from benchmarks.emulator import REGION


def upload_event(bucket: str, key: str, size: int) -> dict[str, Any]:
    """The event of a message in UploadQueue: an S3 notification of one upload."""
    return _s3_event("ObjectCreated:Put", bucket, {"key": key, "size": size})


def removal_event(bucket: str, key: str) -> dict[str, Any]:
    """The event of a message in UploadQueue: an S3 notification of one removal."""
    return _s3_event("ObjectRemoved:Delete", bucket, {"key": key})


def _s3_event(name: str, bucket: str, told: dict[str, Any]) -> dict[str, Any]:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": told},
    }
    return sqs_event(json.dumps({"Records": [record]}), receipt_handle="none")


def sqs_event(body: str, receipt_handle: str) -> dict[str, Any]:
    """The event with which Lambda hands on one message."""
    message = {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": receipt_handle,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "ApproximateFirstReceiveTimestamp": "0",
            "SenderId": "benchmark",
            "SentTimestamp": "0",
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:queue",
        "awsRegion": REGION,
    }
    return {"Records": [message]}
