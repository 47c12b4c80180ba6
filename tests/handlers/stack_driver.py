"""Drives the functions of a ``Stack`` from event to event, and records their requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from types import ModuleType
from typing import Any

from moto.s3.models import s3_backends

from testkit.channel import Package
from tests.handlers.functions import (
    BACK,
    BUCKET,
    DONE,
    RECONCILE_QUEUE_URL,
    SLOW_UPLOAD_QUEUE_URL,
    STATE,
    UPLOAD_QUEUE_URL,
    Stack,
    batch,
    load,
    notification,
    request,
    sqs_record,
)
from tests.handlers.permission_recorder import PermissionRecorder
from tests.handlers.request_faults import SLOW_DOWN, failing

ACCOUNT = "123456789012"


class StackDriver:
    """Uploads, deletes and reconciles, and lets the functions handle all that follows."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.recorder = PermissionRecorder(
            buckets={BUCKET: "Channel", STATE: "State"},
            queues={
                UPLOAD_QUEUE_URL: "UploadQueue",
                SLOW_UPLOAD_QUEUE_URL: "SlowUploadQueue",
                stack.queue_url: "MergeQueue",
                RECONCILE_QUEUE_URL: "ReconcileQueue",
            },
        )
        self.apps: dict[str, ModuleType] = {}

    def invoke(self, name: str, event: Mapping[str, Any]) -> Any:
        """Invoke a function, its requests being watched."""
        app = self.apps.setdefault(name, load(name))
        with self.recorder.acting(name):
            return self.stack.invoke(app, dict(event))

    def upload(
        self,
        *packages: Package,
        channel: str = "demo",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Upload packages, each with its event."""
        for package in packages:
            key = f"{channel}/{package.path}"
            self.stack.s3.put_object(
                Bucket=BUCKET, Key=key, Body=package.body, Metadata=dict(metadata or {})
            )
            self.invoke("extract", batch(sqs_record(notification(key))))

    def configure(self, text: str) -> None:
        """Write the configuration, with its event."""
        self.stack.s3.put_object(Bucket=BUCKET, Key="demo/sluice.toml", Body=text.encode())
        self.invoke("extract", batch(sqs_record(notification("demo/sluice.toml"))))

    def remove(self, package: Package) -> None:
        """Delete a package, with its event."""
        key = f"demo/{package.path}"
        self.stack.s3.delete_object(Bucket=BUCKET, Key=key)
        self.invoke("extract", batch(sqs_record(notification(key))))

    def stage(self, key: str, record: Mapping[str, Any]) -> None:
        """Put a staging record there as who has taken extract over would, and ask for a merge."""
        self.stack.s3.put_object(Bucket=STATE, Key=key, Body=json.dumps(record).encode())
        self.invoke("merge", batch(sqs_record(request())))

    def merge(self) -> None:
        """Handle merge requests until no more come; their windows have closed."""
        while records := self.stack.receive():
            for record in records:
                due = {**json.loads(record["body"]), "not_before": 0}
                answer = self.invoke("merge", batch(record | {"body": json.dumps(due)}))
                assert answer == DONE, self.stack.logs[-1]
                handle = record["receiptHandle"]
                self.stack.sqs.delete_message(QueueUrl=self.stack.queue_url, ReceiptHandle=handle)

    def reconcile(self, **asked: Any) -> dict[str, Any]:
        """Run reconcile, and what it asks of itself and of extract."""
        run = self.invoke("reconcile", asked)["run"]
        self.handle_all("reconcile", RECONCILE_QUEUE_URL)
        self.handle_all("extract", UPLOAD_QUEUE_URL)
        self.merge()
        report: dict[str, Any] = self.stack.read(STATE, f"reconciliations/{run}.json")
        assert report["counts"]["failed"] == 0, report
        return report

    def handle_all(self, name: str, url: str) -> None:
        """Have a function handle all messages of one of its queues."""
        while records := self.stack.receive(url):
            for record in records:
                assert self.invoke(name, batch(record)) == DONE
                handle = record["receiptHandle"]
                self.stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)

    def fail(self, name: str, event: Mapping[str, Any], operation: str, client: Any) -> None:
        """Have a function fail, and hand its message back."""
        with failing(client, operation, SLOW_DOWN):
            assert self.invoke(name, event) == BACK

    def age(self, *, days: float, bucket: str, prefix: str = "") -> None:
        """Let time pass for what is stored."""
        stored = s3_backends[ACCOUNT]["aws"].buckets[bucket].keys
        for key in list(stored):
            if key.startswith(prefix):
                stored[key].last_modified -= timedelta(days=days)
