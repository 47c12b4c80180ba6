"""The deployed stack as its users and its operator see it, and one channel in it.

``Channel.wait_until_it_holds`` is how tests wait: for the index to be that of the given
packages, and then for everything under way to come to rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from typing import Any

import boto3
from botocore.exceptions import ClientError

from local.emulator import CREDENTIALS, REGION
from local.stack import Stack
from sluice.layout import REPODATA, Subdir, parse_package_key
from testkit.channel import Package
from testkit.eventually import SECONDS_MAX, eventually
from testkit.published import Index, read_index

LogLine = dict[str, Any]

_LINES_TOLD_MAX = 12
_FRAME = ("START RequestId", "END RequestId", "REPORT RequestId")
_ORDINARY = ("DEBUG", "INFO", None)
"""Levels of lines that are no complaint; metrics have none."""
_DURATION = re.compile(r"^REPORT RequestId: \S+\tDuration: ([\d.]+) ms")
_DEPTHS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Deployed:
    """The whole stack."""

    def __init__(self, stack: Stack, *, seconds_max: float = SECONDS_MAX) -> None:
        self.stack = stack
        self.seconds_max = seconds_max
        """For which anything is waited for."""

    # --- what can be done to it -------------------------------------------------------------

    def replay(self, *events: Mapping[str, Any]) -> None:
        """Put S3 events into UploadQueue, in this order."""
        for event in events:
            self.stack.sqs.send_message(
                QueueUrl=self.stack.upload_queue_url, MessageBody=json.dumps(event)
            )

    def invoke_extract(self, event: Mapping[str, Any]) -> Any:
        """Call the function as S3 or EventBridge would, and return its answer."""
        return self._invoke(self.stack.extract_function, event)

    def reconcile(self, **request: Any) -> dict[str, Any]:
        """Run reconcile to its end, wait until all it asked for is done, and return its report."""
        run = self._invoke(self.stack.reconcile_function, request)["run"]
        report = eventually(
            lambda: self._report(run),
            lambda report: report["finished_at"] is not None,
            what=f"the end of run {run}",
            explain=self.describe,
            seconds_max=self.seconds_max,
        )
        self.wait_until_quiet()
        return report

    @contextmanager
    def without_events(self) -> Iterator[None]:
        """Have S3 tell nobody what happens meanwhile: so it was before sluice, or got lost."""
        bucket = self.stack.channel_bucket
        found = self.stack.s3.get_bucket_notification_configuration(Bucket=bucket)
        queues = found["QueueConfigurations"]
        self.stack.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={}
        )
        try:
            yield
        finally:
            self.stack.s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"QueueConfigurations": queues}
            )

    @contextmanager
    def uploads_lost(self) -> Iterator[None]:
        """Lose all events of what happens meanwhile, on their way from S3 to extract."""
        with self._suspended(self.stack.extract_function):
            yield
            self.stack.sqs.purge_queue(QueueUrl=self.stack.upload_queue_url)

    @contextmanager
    def merging_suspended(self) -> Iterator[None]:
        """Leave MergeQueue alone meanwhile."""
        with self._suspended(self.stack.merge_function):
            yield

    def environment_of(self, function: str) -> dict[str, str]:
        """The environment variables of a function."""
        configuration = self.stack.functions.get_function_configuration(FunctionName=function)
        return configuration["Environment"]["Variables"]

    # --- what can be seen of it -------------------------------------------------------------

    def depths(self) -> dict[str, int]:
        """How many messages are in each queue: waiting, delayed or being handled.

        In the order in which messages beget messages, so that none is missed on its way.
        """
        urls = {
            "ReconcileQueue": self.stack.reconcile_queue_url,
            "UploadQueue": self.stack.upload_queue_url,
            "SlowUploadQueue": self.stack.slow_upload_queue_url,
            "MergeQueue": self.stack.merge_queue_url,
            "ReconcileDlq": self.stack.reconcile_dlq_url,
            "UploadDlq": self.stack.upload_dlq_url,
            "SlowUploadDlq": self.stack.slow_upload_dlq_url,
            "MergeDlq": self.stack.merge_dlq_url,
        }
        return {name: self._depth(url) for name, url in urls.items()}

    def wait_until_quiet(self) -> None:
        """Wait until all queues are empty; messages sent before this call are not missed."""
        eventually(
            self.depths,
            lambda depths: not any(depths[name] for name in depths if name.endswith("Queue")),
            what="all queues are empty",
            explain=self.describe,
            seconds_max=self.seconds_max,
        )

    def lines(self, function: str, **having: Any) -> list[LogLine]:
        """The structured lines that a function has logged, as far as they have these keys."""
        return [
            line
            for text in self._log(function)
            if text.startswith("{")
            for line in [json.loads(text)]
            if line.items() >= having.items()
        ]

    def durations_ms(self, function: str) -> list[float]:
        """How long each invocation of a function took, by Lambda's own account."""
        found = map(_DURATION.match, self._raw_log(function))
        return [float(match[1]) for match in found if match]

    def errors(self) -> list[str]:
        """What the functions have logged that is no ordinary line."""
        return [
            text
            for function in self._functions
            for text in self._log(function)
            if not text.startswith("{") or json.loads(text).get("level") not in _ORDINARY
        ]

    def describe(self) -> str:
        """The state of affairs, for the message of a test that failed."""
        told = [f"queues: {self.depths()}"]
        for function in self._functions:
            told += [f"{function}:", *self._log(function)[-_LINES_TOLD_MAX:]]
        return "\n".join(told)

    def get(self, bucket: str, key: str) -> bytes | None:
        """An object's content, or ``None`` where there is no such key."""
        try:
            return self.stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """The keys under a prefix."""
        pages = self.stack.s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix
        )
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    @property
    def _functions(self) -> tuple[str, ...]:
        stack = self.stack
        return (stack.extract_function, stack.merge_function, stack.reconcile_function)

    def _invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        answer = self.stack.functions.invoke(FunctionName=function, Payload=json.dumps(event))
        body = answer["Payload"].read()
        assert "FunctionError" not in answer, body
        return json.loads(body)

    @contextmanager
    def _suspended(self, function: str) -> Iterator[None]:
        """Have nobody poll the queue of a function meanwhile."""
        functions = self.stack.functions
        described = functions.list_event_source_mappings(FunctionName=function)[
            "EventSourceMappings"
        ]
        mappings = [mapping["UUID"] for mapping in described]
        for mapping in mappings:
            functions.update_event_source_mapping(UUID=mapping, Enabled=False)
        try:
            yield
        finally:
            for mapping in mappings:
                functions.update_event_source_mapping(UUID=mapping, Enabled=True)

    def _report(self, run: str) -> dict[str, Any]:
        body = self.get(self.stack.state_bucket, f"reconciliations/{run}.json")
        assert body is not None, run
        report: dict[str, Any] = json.loads(body)
        return report

    def _depth(self, url: str) -> int:
        found = self.stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return sum(int(value) for name, value in found["Attributes"].items() if name in _DEPTHS)

    def _log(self, function: str) -> list[str]:
        return [text for text in self._raw_log(function) if not text.startswith(_FRAME)]

    def _raw_log(self, function: str) -> list[str]:
        configuration = self.stack.functions.get_function_configuration(FunctionName=function)
        group = configuration["LoggingConfig"]["LogGroup"]
        pages = self._logs.get_paginator("describe_log_streams").paginate(logGroupName=group)
        streams = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        events = [event for stream in streams for event in self._log_events(group, stream)]
        events.sort(key=lambda event: event["timestamp"])
        return [event["message"].rstrip() for event in events]

    def _log_events(self, group: str, stream: str) -> Iterator[dict[str, Any]]:
        # Not FilterLogEvents: MiniStack's ends at 10,000 and does not say that there are more.
        where = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
        page = self._logs.get_log_events(**where)
        while page["events"]:
            yield from page["events"]
            page = self._logs.get_log_events(**where, nextToken=page["nextForwardToken"])

    @cached_property
    def _logs(self) -> Any:  # has no stubs here
        return boto3.client(
            "logs",
            endpoint_url=self.stack.endpoint,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of the channel bucket."""

    deployed: Deployed
    name: str
    """Empty for the one at the bucket's root."""

    # --- what can be done to it -------------------------------------------------------------

    def key(self, package: Package) -> str:
        """Where the package lies."""
        return self.prefix + package.path

    def upload(self, *packages: Package) -> None:
        """Upload them, one by one."""
        stack = self.deployed.stack
        for package in packages:
            stack.s3.put_object(
                Bucket=stack.channel_bucket, Key=self.key(package), Body=package.body
            )

    def delete(self, *packages: Package) -> None:
        """Delete them, one by one."""
        stack = self.deployed.stack
        for package in packages:
            stack.s3.delete_object(Bucket=stack.channel_bucket, Key=self.key(package))

    def wait_until_it_holds(self, *packages: Package) -> dict[str, Index]:
        """Wait until exactly these packages are in its indexes, and nothing is under way.

        Returns the indexes, by subdir, after checking that they are still the same then, that
        ``noarch`` is among them, and that each agrees with itself.
        """
        expected = {package.path: sha256(package.body).hexdigest() for package in packages}
        eventually(
            self._digests,
            lambda digests: digests == expected,
            what=f"the indexes of {self.name!r} hold {sorted(expected)}",
            explain=self.describe,
            seconds_max=self.deployed.seconds_max,
        )
        self.deployed.wait_until_quiet()
        indexes = self.indexes()
        assert "noarch" in indexes
        found = {
            f"{subdir}/{filename}": digest
            for subdir, index in indexes.items()
            for filename, digest in index.digests.items()
        }
        assert found == expected, self.describe()
        return indexes

    # --- what can be seen of it -------------------------------------------------------------

    @property
    def prefix(self) -> str:
        """Of its keys."""
        return f"{self.name}/" if self.name else ""

    @property
    def url(self) -> str:
        """As clients are told it."""
        return f"s3://{self.deployed.stack.channel_bucket}/{self.name}"

    def subdir(self, name: str) -> Subdir:
        """One of its subdirs."""
        return Subdir(self.name, name)

    def read(self, path: str) -> bytes:
        """A file that is there."""
        body = self.deployed.get(self.deployed.stack.channel_bucket, self.prefix + path)
        assert body is not None, path
        return body

    def files(self) -> list[str]:
        """The paths of its files that are no packages."""
        keys = self.deployed.keys(self.deployed.stack.channel_bucket, self.prefix)
        return [key.removeprefix(self.prefix) for key in keys if parse_package_key(key) is None]

    def indexes(self) -> dict[str, Index]:
        """Its published indexes, by subdir; fails where one does not agree with itself."""
        return {name: read_index(partial(self._read_in, name)) for name in self._indexed_subdirs()}

    def rejects(self, subdir: str) -> dict[str, tuple[str, str]]:
        """Code and sentence of each reject of a subdir, by filename."""
        body = self.deployed.get(self.deployed.stack.state_bucket, self.subdir(subdir).rejects_key)
        return {
            reject["filename"]: (reject["code"], reject["sentence"])
            for reject in (json.loads(body)["rejects"] if body else ())
        }

    def staged(self, subdir: str) -> list[str]:
        """The keys of the staging records of a subdir."""
        return self.deployed.keys(
            self.deployed.stack.state_bucket, self.subdir(subdir).staging_prefix
        )

    def describe(self) -> str:
        """The state of affairs, for the message of a test that failed."""
        subdirs = sorted({path.split("/")[0] for path in self.files()})
        told = [f"channel {self.name!r}: {self.files()}"]
        told += [f"rejects of {subdir}: {self.rejects(subdir)}" for subdir in subdirs]
        told += [f"staged for {subdir}: {self.staged(subdir)}" for subdir in subdirs]
        return "\n".join([*told, self.deployed.describe()])

    def _read_in(self, subdir: str, file: str) -> bytes:
        return self.read(f"{subdir}/{file}")

    def _indexed_subdirs(self) -> list[str]:
        tail = f"/{REPODATA}"
        paths = (path for path in self.files() if path.endswith(tail))
        # A channel at the root sees the files of all other channels, too.
        return [path.removesuffix(tail) for path in paths if path.count("/") == 1]

    def _digests(self) -> dict[str, str]:
        """SHA-256 of what ``repodata.json`` lists, by path; cheap enough to be asked often."""
        digests = {}
        for subdir in self._indexed_subdirs():
            repodata = json.loads(self.read(f"{subdir}/{REPODATA}"))
            for filename, record in {**repodata["packages"], **repodata["packages.conda"]}.items():
                digests[f"{subdir}/{filename}"] = record["sha256"]
        return digests
