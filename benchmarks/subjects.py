"""What is compared: each subject owns buckets with the same channel and can index a change."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Literal

from benchmarks.cases import SLUICE, Work
from benchmarks.channel import Change
from benchmarks.emulator import Cloud
from benchmarks.functions import Queues, removal_event, sqs_event, upload_event, variables
from benchmarks.processes import Worker, worker
from benchmarks.worker import RATTLER_INDEX, SLUICE_INDEX, Usage
from testkit.made_up import SUBDIR

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

CHANNEL = "channel"
_RATTLER_PARALLEL = 32
"""As many requests at once as sluice makes; by default it is as many as there are CPUs."""
_QUIET_S = 60
"""Longer than the debounce of ``functions.variables``, so a single upload is merged early."""
Temperature = Literal["cold", "warm"]
"""Of a process: its first run, or one after it."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What indexing a change took."""

    works: Mapping[str, Work]
    """By the name of the process."""
    started: float
    """When the process that publishes began, on the machine's monotonic clock."""
    publishing: Sequence[Usage]
    """The runs that may write index files, in their order."""

    def seconds_after(self, moment: float) -> float:
        """Wall seconds of the publishing runs that passed after a moment of the same clock."""
        return sum(
            max(0.0, run.started + run.wall_s - max(run.started, moment)) for run in self.publishing
        )


@dataclass(frozen=True, slots=True)
class Session:
    """New processes: what they index first is cold."""

    init_s: float
    index: Callable[[Change], Indexed]
    """Index a change that has happened."""


@dataclass(frozen=True, slots=True)
class Subject(ABC):
    """What indexes."""

    cloud: Cloud
    bucket: str
    """Where its channel lies."""
    log: IO[bytes]
    name: str
    """As the results have it."""
    temperatures: tuple[Temperature, ...] = ("cold",)
    """Those in which a process of it can be found."""

    @property
    def state_bucket(self) -> str:
        """Where everything private lies; rattler-index leaves it empty."""
        return f"{self.bucket}-state"

    @property
    def buckets(self) -> tuple[str, ...]:
        """Both."""
        return self.bucket, self.state_bucket

    @abstractmethod
    def session(self) -> AbstractContextManager[Session]:
        """Start new processes."""


@dataclass(frozen=True, slots=True)
class Tool(Subject):
    """A tool that is run over the channel after the change."""

    options: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Start a process."""
        name = self.name.partition(" --")[0]
        variables = self.cloud.client_variables
        with tool_session(name, variables, self.options, self.log) as session:
            yield session


@contextmanager
def tool_session(
    name: str, variables: Mapping[str, str], arguments: Mapping[str, Any], log: IO[bytes]
) -> Iterator[Session]:
    """Start a process of a tool; ``variables``: the S3 that it runs against."""
    with worker(name, variables, log) as process:

        def index(_change: Change) -> Indexed:
            usage = process.run(arguments)
            if usage.answer and usage.answer["failures"]:
                raise RuntimeError(f"{name} failed: {usage.answer['failures']}")
            return Indexed({name: Work.of(usage)}, usage.started, [usage])

        yield Session(process.imports.wall_s, index)


def rattler_arguments(bucket: str, *, force: bool = False) -> Mapping[str, Any]:
    """What rattler-index is asked for."""
    url = f"s3://{bucket}/{CHANNEL}"
    return {"channel_url": url, "force": force, "max_parallel": _RATTLER_PARALLEL}


def sluice_arguments(bucket: str) -> Mapping[str, Any]:
    """What ``sluice index`` is asked for."""
    return {"channel_url": f"s3://{bucket}/{CHANNEL}", "state": f"{bucket}-state"}


def rattler_index(cloud: Cloud, bucket: str, log: IO[bytes], *, force: bool = False) -> Tool:
    """rattler-index; with ``force`` it reads every package, and so notices an overwritten one."""
    name = f"{RATTLER_INDEX} --force" if force else RATTLER_INDEX
    return Tool(cloud, bucket, log, name, options=rattler_arguments(bucket, force=force))


def sluice_index(cloud: Cloud, bucket: str, log: IO[bytes]) -> Tool:
    """``sluice index``."""
    return Tool(cloud, bucket, log, SLUICE_INDEX, options=sluice_arguments(bucket))


@dataclass(frozen=True, slots=True)
class Sluice(Subject):
    """sluice's handlers, given the messages that AWS would give them."""

    name: str = SLUICE
    temperatures: tuple[Temperature, ...] = ("cold", "warm")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Start a process for each function."""
        with self.function("extract") as extract, self.function("merge") as merge:
            init_s = extract.imports.wall_s + merge.imports.wall_s
            yield Session(init_s, lambda change: self._index(change, extract, merge))

    @contextmanager
    def function(self, name: str) -> Iterator[Worker]:
        """Start a process for one function."""
        with worker(name, self.environment(name), self.log) as process:
            yield process

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a function."""
        own = variables(name, self.bucket, self.state_bucket, self._queues())
        return self.cloud.client_variables | own

    def _queues(self) -> Queues:
        """The queues of the stack; made when they are first needed."""
        sqs = self.cloud.sqs

        def fifo(name: str) -> str:
            queue = f"{self.bucket}-{name}.fifo"
            return sqs.create_queue(QueueName=queue, Attributes={"FifoQueue": "true"})["QueueUrl"]

        def standard(name: str) -> str:
            return sqs.create_queue(QueueName=f"{self.bucket}-{name}")["QueueUrl"]

        upload, slow_upload = standard("upload"), standard("slow-upload")
        return Queues(upload, slow_upload, fifo("merge"), fifo("reconcile"))

    def _index(self, change: Change, extract: Worker, merge: Worker) -> Indexed:
        """Extract everything, then merge at both edges of each window until no request is left."""
        # As if nothing had happened for a while.  A process that sleeps instead is slow after it.
        self.cloud.s3.age(self.state_bucket, "heads/", seconds=_QUIET_S)
        extracted = [extract.run(event) for event in self._events(change)]
        for usage in extracted:
            expect_no_failures(usage)
        merged = list(self._run_merges(merge))
        started = [usage.started for subdir, usage in merged if subdir == SUBDIR]
        if not started:
            raise RuntimeError(f"nobody asked for a merge of {SUBDIR}")
        merges = [usage for _, usage in merged]
        works = {"extract": Work.of(*extracted), "merge": Work.of(*merges)}
        return Indexed(works, started[0], merges)

    def _events(self, change: Change) -> Iterator[dict[str, Any]]:
        for path, body in change.put.items():
            yield upload_event(self.bucket, f"{CHANNEL}/{path}", len(body))
        for path in change.removed:
            yield removal_event(self.bucket, f"{CHANNEL}/{path}")

    def _run_merges(self, merge: Worker) -> Iterator[tuple[str, Usage]]:
        """Until the queue is empty: a merge may send further requests, for other subdirs."""
        sqs, queue = self.cloud.sqs, self._queues().merge
        while messages := sqs.receive_message(QueueUrl=queue).get("Messages"):
            for message in messages:
                subdir = json.loads(message["Body"]).get("subdir", "")
                yield from ((subdir, usage) for usage in _run_merge(merge, message))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def _run_merge(merge: Worker, message: MessageTypeDef) -> Iterator[Usage]:
    """Deliver a message at once and, if it is handed back, when it is due."""
    body, receipt_handle = message["Body"], message["ReceiptHandle"]
    usage = merge.run(sqs_event(body, receipt_handle))
    yield usage
    if is_handed_back(usage):
        due_ms = json.loads(body)["not_before"]
        time.sleep(max(0, due_ms / 1000 - time.time()))
        usage = merge.run(sqs_event(body, receipt_handle, receive_count=2))
        yield usage
        expect_no_failures(usage)


def is_handed_back(usage: Usage) -> bool:
    """Whether a handler gave its message back."""
    return bool(usage.answer and usage.answer.get("batchItemFailures"))


def expect_no_failures(usage: Usage) -> None:
    """Stop the benchmark where a handler could not do its work."""
    if is_handed_back(usage):
        raise RuntimeError("a handler gave its message back; see the log of the benchmark")
