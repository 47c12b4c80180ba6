"""The two that are compared: each owns a bucket with the same channel and can index an upload."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, ClassVar, Literal, Protocol

from benchmarks.channel import SUBDIR
from benchmarks.emulator import Cloud, credentials
from benchmarks.messages import sqs_event, upload_event
from benchmarks.processes import Worker, worker
from benchmarks.worker import RATTLER_INDEX, Usage
from tests.support.channel import Package

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

CHANNEL = "channel"
_DEBOUNCE_SECONDS = 3
Temperature = Literal["cold", "warm"]
"""Of a process: its first run, or one after it."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What indexing one upload took, all processes together."""

    runs: dict[str, Usage]
    """By the name of the process."""

    @property
    def wall_s(self) -> float:
        """Seconds, one process after the other; what passes between them is not counted."""
        return sum(run.wall_s for run in self.runs.values())

    @property
    def cpu_s(self) -> float:
        """Seconds of user and system time."""
        return sum(run.cpu_s for run in self.runs.values())

    @property
    def peak_mib(self) -> float:
        """Of the largest process."""
        return max(run.peak_mib for run in self.runs.values())


class Session(Protocol):
    """Fresh processes: what they index first is cold."""

    init_s: float

    def index(self, package: Package) -> Indexed:
        """Index a package that was uploaded."""
        ...


@dataclass(frozen=True, slots=True)
class RattlerIndex:
    """rattler-index, run over the channel after the upload."""

    cloud: Cloud
    bucket: str
    log: IO[bytes]
    name: ClassVar[str] = RATTLER_INDEX
    temperatures: ClassVar[tuple[Temperature, ...]] = ("cold",)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Start a process."""
        environment = credentials(self.cloud.counted_endpoint)
        with worker(RATTLER_INDEX, environment, self.log) as process:
            yield _RattlerSession(process, f"s3://{self.bucket}/{CHANNEL}")


class _RattlerSession:
    def __init__(self, process: Worker, channel_url: str) -> None:
        self._process = process
        self._channel_url = channel_url
        self.init_s = process.imports.wall_s

    def index(self, _package: Package) -> Indexed:
        return Indexed({RATTLER_INDEX: self._process.run(self._channel_url)})


def variables(name: str, bucket: str, state_bucket: str, merge_queue_url: str) -> dict[str, str]:
    """What the template tells a function, with its defaults."""
    return {
        "CHANNEL_BUCKET": bucket,
        "STATE_BUCKET": state_bucket,
        "CHANNEL_PREFIXES": "",
        "MERGE_QUEUE_URL": merge_queue_url,
        "DEBOUNCE_SECONDS": str(_DEBOUNCE_SECONDS),
        "DEFAULT_OUTPUTS": "run-exports",
        "DEFAULT_TIMESTAMPS": "warn",
        "TRUST_UPLOADER_DIGESTS": "true",
        "UPLOAD_QUEUE_URL": "unused",  # only what failed is handed back
        "UPLOAD_MAX_RECEIVES": "3",
        "INDEX_CACHE_MAX_AGE": "60",
        "OWNER": "benchmark",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",  # as Lambda sets it
        "POWERTOOLS_SERVICE_NAME": name,
        "POWERTOOLS_METRICS_NAMESPACE": "Sluice",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }


@dataclass(frozen=True, slots=True)
class Sluice:
    """sluice's two handlers, given the messages that AWS would give them."""

    cloud: Cloud
    bucket: str
    log: IO[bytes]
    name: ClassVar[str] = "sluice"
    temperatures: ClassVar[tuple[Temperature, ...]] = ("cold", "warm")

    @property
    def state_bucket(self) -> str:
        """Where everything private lies."""
        return f"{self.bucket}-state"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Start a process for each function."""
        with self.function("extract") as extract, self.function("merge") as merge:
            yield _SluiceSession(self, extract, merge)

    @contextmanager
    def function(self, name: str) -> Iterator[Worker]:
        """Start a process for one function."""
        environment = credentials(self.cloud.counted_endpoint) | variables(
            name, self.bucket, self.state_bucket, self.queue_url()
        )
        with worker(name, environment, self.log) as process:
            yield process

    def queue_url(self) -> str:
        """Where merges are asked for; made when it is first needed."""
        queue = self.cloud.sqs().create_queue(
            QueueName=f"{self.bucket}-merge.fifo", Attributes={"FifoQueue": "true"}
        )
        return queue["QueueUrl"]


class _SluiceSession:
    def __init__(self, sluice: Sluice, extract: Worker, merge: Worker) -> None:
        self._extract = extract
        self._merge = merge
        self._bucket = sluice.bucket
        self._sqs = sluice.cloud.sqs()
        self._queue_url = sluice.queue_url()
        self.init_s = extract.imports.wall_s + merge.imports.wall_s

    def index(self, package: Package) -> Indexed:
        """Extract, wait until the merge request is due, merge."""
        key = f"{CHANNEL}/{package.path}"
        extracted = self._extract.run(upload_event(self._bucket, key, len(package.body)))
        expect_no_failures(extracted)
        merged = {}
        for message in self._take_messages():
            merged[json.loads(message["Body"])["subdir"]] = self._run_merge(message)
        return Indexed({"extract": extracted, "merge": merged[SUBDIR]})

    def _run_merge(self, message: MessageTypeDef) -> Usage:
        due_ms = json.loads(message["Body"])["not_before"]
        time.sleep(max(0, due_ms / 1000 - time.time()))
        usage = self._merge.run(sqs_event(message["Body"], message["ReceiptHandle"]))
        expect_no_failures(usage)
        self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
        return usage

    def _take_messages(self) -> Iterator[MessageTypeDef]:
        """Yield until the queue is empty; a merge may send further requests (for noarch)."""
        while messages := self._sqs.receive_message(QueueUrl=self._queue_url).get("Messages"):
            yield from messages


def expect_no_failures(usage: Usage) -> None:
    """Stop the benchmark where a handler could not do its work."""
    if usage.answer and usage.answer.get("batchItemFailures"):
        raise RuntimeError("a handler gave its message back; see the log of the benchmark")
