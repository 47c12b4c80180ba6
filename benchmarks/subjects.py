"""The two that are compared: each owns a bucket with the same channel and can index a change."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from benchmarks.changes import Change
from benchmarks.channel import SUBDIR
from benchmarks.emulator import Cloud
from benchmarks.environment import Queues, client_variables, variables
from benchmarks.messages import removal_event, sqs_event, upload_event
from benchmarks.processes import Worker, worker
from benchmarks.work import Indexed, Work
from benchmarks.worker import RATTLER_INDEX, SLUICE_INDEX, Usage

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

CHANNEL = "channel"
SLUICE = "sluice"
_RATTLER_PARALLEL = 32
"""As many requests at once as sluice makes; by default it is as many as there are CPUs."""
Temperature = Literal["cold", "warm"]
"""Of a process: its first run, or one after it."""


class Session(Protocol):
    """Fresh processes: what they index first is cold."""

    init_s: float

    def index(self, change: Change) -> Indexed:
        """Index a change that was made."""
        ...


class Subject(Protocol):
    """One that indexes."""

    @property
    def name(self) -> str:
        """What it is called in the results."""
        ...

    @property
    def bucket(self) -> str:
        """Where its channel lies."""
        ...

    @property
    def buckets(self) -> tuple[str, ...]:
        """All that it writes to."""
        ...

    @property
    def temperatures(self) -> tuple[Temperature, ...]:
        """Those in which a process of it can be found."""
        ...

    def session(self) -> AbstractContextManager[Session]:
        """Start new processes."""
        ...


@dataclass(frozen=True, slots=True)
class RattlerIndex:
    """rattler-index, run over the channel after the change."""

    cloud: Cloud
    bucket: str
    log: IO[bytes]
    force: bool = False
    """Read every package anew: what it takes to notice one that was overwritten."""
    temperatures: ClassVar[tuple[Temperature, ...]] = ("cold",)

    @property
    def name(self) -> str:
        """What it is called in the results."""
        return f"{RATTLER_INDEX} --force" if self.force else RATTLER_INDEX

    @property
    def buckets(self) -> tuple[str, ...]:
        """All that it writes to."""
        return (self.bucket,)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Start a process."""
        arguments = {
            "channel_url": f"s3://{self.bucket}/{CHANNEL}",
            "force": self.force,
            "max_parallel": _RATTLER_PARALLEL,
        }
        with worker(RATTLER_INDEX, client_variables(self.cloud), self.log) as process:
            yield _RattlerSession(process, arguments)


class _RattlerSession:
    def __init__(self, process: Worker, arguments: dict[str, Any]) -> None:
        self._process = process
        self._arguments = arguments
        self.init_s = process.imports.wall_s

    def index(self, _change: Change) -> Indexed:
        usage = self._process.run(self._arguments)
        return Indexed({RATTLER_INDEX: Work.of([usage])}, usage.started)


@dataclass(frozen=True, slots=True)
class SluiceIndex:
    """``sluice index``, run over the channel after the change."""

    cloud: Cloud
    bucket: str
    log: IO[bytes]
    name: ClassVar[str] = SLUICE_INDEX
    temperatures: ClassVar[tuple[Temperature, ...]] = ("cold",)

    @property
    def state_bucket(self) -> str:
        """Where everything private lies."""
        return f"{self.bucket}-state"

    @property
    def buckets(self) -> tuple[str, ...]:
        """All that it writes to."""
        return self.bucket, self.state_bucket

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Start a process."""
        arguments = {"channel_url": f"s3://{self.bucket}/{CHANNEL}", "state": self.state_bucket}
        with worker(SLUICE_INDEX, client_variables(self.cloud), self.log) as process:
            yield _IndexSession(process, arguments)


class _IndexSession:
    def __init__(self, process: Worker, arguments: dict[str, Any]) -> None:
        self._process = process
        self._arguments = arguments
        self.init_s = process.imports.wall_s

    def index(self, _change: Change) -> Indexed:
        usage = self._process.run(self._arguments)
        if usage.answer["failures"]:
            raise RuntimeError(f"sluice index failed: {usage.answer['failures']}")
        return Indexed({SLUICE_INDEX: Work.of([usage])}, usage.started)


@dataclass(frozen=True, slots=True)
class Sluice:
    """sluice's handlers, given the messages that AWS would give them."""

    cloud: Cloud
    bucket: str
    log: IO[bytes]
    name: ClassVar[str] = SLUICE
    temperatures: ClassVar[tuple[Temperature, ...]] = ("cold", "warm")

    @property
    def state_bucket(self) -> str:
        """Where everything private lies."""
        return f"{self.bucket}-state"

    @property
    def buckets(self) -> tuple[str, ...]:
        """All that it writes to."""
        return self.bucket, self.state_bucket

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Start a process for each function."""
        with self.function("extract") as extract, self.function("merge") as merge:
            yield _SluiceSession(self, extract, merge)

    @contextmanager
    def function(self, name: str) -> Iterator[Worker]:
        """Start a process for one function."""
        environment = client_variables(self.cloud) | variables(
            name, self.bucket, self.state_bucket, self.queues()
        )
        with worker(name, environment, self.log) as process:
            yield process

    def queues(self) -> Queues:
        """The queues of the stack; made when they are first needed."""
        sqs = self.cloud.sqs

        def fifo(name: str) -> str:
            queue = f"{self.bucket}-{name}.fifo"
            return sqs.create_queue(QueueName=queue, Attributes={"FifoQueue": "true"})["QueueUrl"]

        upload = sqs.create_queue(QueueName=f"{self.bucket}-upload")["QueueUrl"]
        return Queues(upload, fifo("merge"), fifo("reconcile"))


class _SluiceSession:
    def __init__(self, sluice: Sluice, extract: Worker, merge: Worker) -> None:
        self._extract = extract
        self._merge = merge
        self._bucket = sluice.bucket
        self._sqs = sluice.cloud.sqs
        self._queue_url = sluice.queues().merge
        self.init_s = extract.imports.wall_s + merge.imports.wall_s

    def index(self, change: Change) -> Indexed:
        """Extract everything, wait until the merge requests are due, merge until none is left."""
        extracted = [self._extract.run(event) for event in self._events(change)]
        for usage in extracted:
            expect_no_failures(usage)
        merged = list(self._run_merges())
        started = [usage.started for subdir, usage in merged if subdir == SUBDIR]
        if not started:
            raise RuntimeError(f"nobody asked for a merge of {SUBDIR}")
        works = {
            "extract": Work.of(extracted),
            "merge": Work.of([usage for _, usage in merged]),
        }
        return Indexed(works, started[0])

    def _events(self, change: Change) -> Iterator[dict[str, Any]]:
        for path, body in change.put.items():
            yield upload_event(self._bucket, f"{CHANNEL}/{path}", len(body))
        for path in change.removed:
            yield removal_event(self._bucket, f"{CHANNEL}/{path}")

    def _run_merges(self) -> Iterator[tuple[str, Usage]]:
        """Until the queue is empty: a merge may send further requests, for other subdirs."""
        while messages := self._sqs.receive_message(QueueUrl=self._queue_url).get("Messages"):
            for message in messages:
                yield json.loads(message["Body"]).get("subdir", ""), self._run_merge(message)

    def _run_merge(self, message: MessageTypeDef) -> Usage:
        due_ms = json.loads(message["Body"])["not_before"]
        time.sleep(max(0, due_ms / 1000 - time.time()))
        usage = self._merge.run(sqs_event(message["Body"], message["ReceiptHandle"]))
        expect_no_failures(usage)
        self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
        return usage


def expect_no_failures(usage: Usage) -> None:
    """Stop the benchmark where a handler could not do its work."""
    if usage.answer and usage.answer.get("batchItemFailures"):
        raise RuntimeError("a handler gave its message back; see the log of the benchmark")
