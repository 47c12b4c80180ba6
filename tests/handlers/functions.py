"""The Lambda functions as AWS calls them, with S3 and SQS through moto."""

from __future__ import annotations

import importlib.util
import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3

from sluice.storage import sqs_queue
from testkit.channel import conda

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
UPLOAD_QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/upload"
SLOW_UPLOAD_QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/slow-upload"
RECONCILE_QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/reconcile.fifo"
BUCKET = "sluice-channel-123456789012-us-east-1"  # the one that events/*.json are about
STATE = "state"
OWNER = "arn:aws:cloudformation:us-east-1:123456789012:stack/sluice/1"
SUBDIR = "demo/noarch"
INDEX = {
    "name": "demo-hello",
    "version": "1.0.0",
    "build": "py_0",
    "build_number": 0,
    "depends": [],
    "subdir": "noarch",
    "noarch": "python",
}
PACKAGE = conda(INDEX)
KEY = f"demo/{PACKAGE.path}"
RECEIVES_MAX = 5

Metrics = dict[str, list[float]]


@dataclass
class Context:
    """What Lambda hands to a handler beside the event."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        """Plenty."""
        return 900_000


@dataclass
class Stack:
    """Two buckets, a queue, and the functions wired to them by their environment alone."""

    queue_url: str
    s3: Any = field(default_factory=lambda: boto3.client("s3"))
    sqs: Any = field(default_factory=sqs_queue.make_sqs_client)
    logs: list[dict[str, Any]] = field(default_factory=list)
    metrics: Metrics = field(default_factory=dict)
    emitted: set[tuple[str, str]] = field(default_factory=set)
    """Service and name of each metric."""

    def invoke(self, app: ModuleType, event: dict[str, Any]) -> Any:
        """Run a handler and take in what it printed."""
        out = io.StringIO()
        app.logger.handlers[0].setStream(out)  # where standard output was when it was made
        try:
            with redirect_stdout(out):
                return app.handler(event, Context())
        finally:
            for line in map(json.loads, out.getvalue().splitlines()):
                if "_aws" in line:
                    self._take_metrics(line)
                else:
                    self.logs.append(line)

    def _take_metrics(self, line: dict[str, Any]) -> None:
        for group in line["_aws"]["CloudWatchMetrics"]:
            assert (group["Namespace"], group["Dimensions"]) == ("Sluice", [["service"]])
            for metric in group["Metrics"]:
                self.emitted.add((line["service"], metric["Name"]))
                value = line[metric["Name"]]
                values = value if isinstance(value, list) else [value]
                self.metrics.setdefault(metric["Name"], []).extend(values)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """List a bucket."""
        answer = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for found in answer.get("Contents", [])]

    def read(self, bucket: str, key: str) -> Any:
        """Read a JSON document."""
        return json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def staged(self) -> list[dict[str, Any]]:
        """Every staging record."""
        return [self.read(STATE, key) for key in self.keys(STATE, "staging/")]

    def receive(self, queue_url: str | None = None) -> list[dict[str, Any]]:
        """Take messages from a queue, merge's by default, as Lambda's records of them."""
        url = queue_url or self.queue_url
        answer = self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
        )
        return [
            sqs_record(m["Body"], receipt_handle=m["ReceiptHandle"], queue=url.rpartition("/")[2])
            for m in answer.get("Messages", [])
        ]


def load(name: str) -> ModuleType:
    """Import a function's module afresh, as a new execution environment does."""
    spec = importlib.util.spec_from_file_location(
        f"{name}_app", ROOT / "functions" / name / "app.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def notification(*keys: str, bucket: str = BUCKET, name: str = "ObjectCreated:Put") -> Any:
    """An S3 notification."""
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": name,
                "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}},
            }
            for key in keys
        ]
    }


def sqs_record(
    body: Any,
    *,
    received: int = 1,
    receipt_handle: str = "handle",
    message_id: str = "m",
    queue: str = "queue",
) -> dict[str, Any]:
    """A message as the event source mapping hands it over."""
    return {
        "messageId": message_id,
        "receiptHandle": receipt_handle,
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"ApproximateReceiveCount": str(received)},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
        "awsRegion": "us-east-1",
    }


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    """A batch of messages."""
    return {"Records": list(records)}


def request(*, not_before: int = 0, channel: str = "demo", subdir: str = "noarch") -> str:
    """The body of a merge request."""
    return json.dumps({"channel": channel, "subdir": subdir, "not_before": not_before})


def upload(stack: Stack, key: str = KEY, body: bytes = PACKAGE.body) -> None:
    """Upload a package."""
    stack.s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def visibility_changes(queue: sqs_queue.SqsQueue) -> list[int]:
    """Collect for how long messages are given back."""
    changes: list[int] = []
    queue._client.meta.events.register(
        "provide-client-params.sqs.ChangeMessageVisibility",
        lambda params, **_: changes.append(params["VisibilityTimeout"]),
    )
    return changes


DONE: dict[str, Any] = {"batchItemFailures": []}
BACK = {"batchItemFailures": [{"itemIdentifier": "m"}]}
