"""What Lambda gives to the functions: variables and events.

Pure, but for the ids and times of messages.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any, NamedTuple

from local.emulator import ACCOUNT, REGION


class Queues(NamedTuple):
    """URLs of the queues of a stack."""

    upload: str
    slow_upload: str
    merge: str
    reconcile: str


def variables(name: str, bucket: str, state_bucket: str, queues: Queues) -> dict[str, str]:
    """The environment of a function as the template sets it, with its defaults."""
    return {
        "CHANNEL_BUCKET": bucket,
        "STATE_BUCKET": state_bucket,
        "CHANNEL_PREFIXES": "",
        "MERGE_QUEUE_URL": queues.merge,
        "DEBOUNCE_SECONDS": "3",
        "DEFAULT_OUTPUTS": "run-exports",
        "DEFAULT_TIMESTAMPS": "warn",
        "TRUST_UPLOADER_DIGESTS": "true",
        "UPLOAD_QUEUE_URL": queues.upload,
        "SLOW_UPLOAD_QUEUE_URL": queues.slow_upload,
        "UPLOAD_MAX_RECEIVES": "5",
        "RECONCILE_QUEUE_URL": queues.reconcile,
        "RETENTION_DAYS": "7",
        "BRAKE_DAYS": "3",
        "INDEX_CACHE_MAX_AGE": "60",
        "OWNER": "benchmark",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",  # as Lambda sets it
        "POWERTOOLS_SERVICE_NAME": name,
        "POWERTOOLS_METRICS_NAMESPACE": "Sluice",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }


def upload_event(bucket: str, key: str, size: int) -> dict[str, Any]:
    """The event of a message in UploadQueue: an S3 notification of one upload."""
    return _s3_event("ObjectCreated:Put", bucket, {"key": key, "size": size})


def removal_event(bucket: str, key: str) -> dict[str, Any]:
    """The event of a message in UploadQueue: an S3 notification of one removal."""
    return _s3_event("ObjectRemoved:Delete", bucket, {"key": key})


def _s3_event(name: str, bucket: str, s3_object: dict[str, Any]) -> dict[str, Any]:
    s3 = {"bucket": {"name": bucket}, "object": s3_object}
    record = {"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": REGION}
    body = json.dumps({"Records": [{**record, "eventName": name, "s3": s3}]})
    return sqs_event(body, receipt_handle="none")


def sqs_event(body: str, receipt_handle: str, *, receive_count: int = 1) -> dict[str, Any]:
    """The event with which Lambda hands on one message, which it received without delay."""
    now = str(int(time.time() * 1000))
    message = {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": receipt_handle,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(receive_count),
            "SentTimestamp": now,
            "ApproximateFirstReceiveTimestamp": now,
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue",
        "awsRegion": REGION,
    }
    return {"Records": [message]}
