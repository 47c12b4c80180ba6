"""``python -m benchmarks.million``: the largest subdir, and many subdirs.

A subdir of a million packages is indexed in one go, as if extract had read each.  Then, in a new
process on one core, one upload is merged cold and warm, reconcile looks at it twice, and a commit
of 100 uploads is rolled back.  The S3 has the other core.  Printed are seconds, requests and peak
memory of each step.

Then reconcile looks twice at buckets of 1,000 and of 20,000 subdirs, without latency; printed is
the second time.  Writes ``results-million.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from zlib import crc32

from benchmarks.markdown import Table, table
from benchmarks.processes import Say, leave_in_order_when_terminated, progress
from benchmarks.results import observe
from benchmarks.take_over import (
    CHANNEL_BUCKET,
    STATE_BUCKET,
    TEAM,
    aws_variables,
    forget_peak,
    peak_mb,
)
from sluice.admin.changes.rollback import rollback
from sluice.admin.session.channel import Channel
from sluice.admin.standalone.in_process_queues import LocalStagingStore
from sluice.concurrency import in_threads
from sluice.conda.digests import Digests
from sluice.conda.record import make_record
from sluice.extract.extract import EXTRACTOR_VERSION
from sluice.extract.staging import Indexed, write_staging_record
from sluice.layout import REPODATA, SHARD_INDEX, Subdir
from sluice.limits import CONCURRENT_REQUESTS_MAX
from sluice.merge.context import MergeContext
from sluice.merge.merge import merge
from sluice.merge.publishing import Scope
from sluice.messages.delivery import Delivery
from sluice.messages.merge_request import MergeRequest
from sluice.publish.publisher import Publisher
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.handler import run as run_step
from sluice.reconcile.handler import start_run
from sluice.storage import object_headers, s3_client, s3_store
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectStore
from sluice.storage.s3_client import wall_clock_ms
from testkit.child_process import ROOT, child_process
from testkit.made_up import SUBDIR, indexes
from testkit.memory_queue import MemoryFeed, MemoryQueue
from testkit.s3_server.process import S3Server, s3_server

RESULTS = Path(__file__).with_name("results-million.md")
_VERSIONS = ("boto3", "msgspec", "zstandard")
_UNLIMITED_MS = 10**9
_RECORDS_PER_COMMIT = 100_000
_OWNER = "state"
_ROLLED_BACK = 100
_COLUMNS = ["step", "seconds", "shards after", "all after", "CPU s", "peak MB", "requests"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step in one process."""

    name: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    """Peak resident memory, in units of 1,024 * 1,024 bytes."""
    began: float
    """On the machine's monotonic clock, which all its processes share."""


class Subject:
    """The functions and the command line, in this process."""

    def __init__(self) -> None:
        client = s3_client.make_s3_client()
        self.channel: ObjectStore = s3_store.S3Store(client, CHANNEL_BUCKET)
        self.state: ObjectStore = s3_store.S3Store(client, STATE_BUCKET)
        self._ids = iter(range(os.getpid() * 10**9, 10**18))
        self._queue = MemoryQueue(time.time)
        self.merger = MergeContext(
            channel=self.channel,
            state=self.state,
            bucket=CHANNEL_BUCKET,
            publisher=Publisher(self.channel, self.state, _OWNER, max_age_seconds=60),
            merge_queue=self._queue,
            executor=in_threads(CONCURRENT_REQUESTS_MAX),
            clock=wall_clock_ms,
            new_id=self._new_id,
            debounce_seconds=10,
        )

    def _new_id(self) -> str:
        return f"{next(self._ids):032x}"

    def index_everything(self) -> None:
        """Commit and publish all packages that are listed, with made-up records."""
        state = LocalStagingStore(self.state, wall_clock_ms)
        by_filename = {_filename(index): index for index in indexes(_count(self.channel))}
        for info in self.channel.list(TEAM.prefix):
            filename = info.key.removeprefix(TEAM.prefix)
            verdict = _verdict(filename, by_filename.pop(filename), ObjectId.from_info(info))
            write_staging_record(state, TEAM, verdict, unique_id=self._new_id())
        merger = replace(
            self.merger,
            state=state,
            publisher=replace(self.merger.publisher, state=state),
            batch_records=_RECORDS_PER_COMMIT,
        )
        self._merge(merger)

    def upload(self, version: str, count: int = 1) -> None:
        """Upload packages, and stage what extract would."""
        for number in range(count):
            index = {**next(indexes(1)), "version": f"{version}.{number}"}
            filename = _filename(index)
            self.channel.put(TEAM.file_key(filename), b"x", object_headers.SHARD_HEADERS)
            info = self.channel.head(TEAM.file_key(filename))
            assert info
            verdict = _verdict(filename, index, ObjectId.from_info(info))
            write_staging_record(self.state, TEAM, verdict, unique_id=self._new_id())

    def merge(self, scope: Scope = Scope.ALL) -> None:
        """Merge what is staged."""
        self._merge(self.merger, scope)

    def index_many(self) -> None:
        """Commit and publish the package of each subdir that is listed."""
        index = next(indexes(1))
        for info in list(self.channel.list("")):
            channel, name, filename = info.key.rsplit("/", 2)
            subdir = Subdir(channel, name)
            verdict = _verdict(filename, index, ObjectId.from_info(info))
            write_staging_record(self.state, subdir, verdict, unique_id=self._new_id())
            request = MergeRequest(subdir, not_before=wall_clock_ms())
            merge(self.merger, request, time_left_ms=lambda: _UNLIMITED_MS)

    def reconcile(self, request: ReconcileRequest) -> None:
        """Look at what the request names, from the first step to the last."""
        steps = MemoryQueue(time.time)
        ctx = ReconcileContext(
            channel=self.channel,
            state=self.state,
            bucket=CHANNEL_BUCKET,
            uploads=MemoryFeed(),
            merge_queue=self._queue,
            continuations=steps,
            executor=self.merger.executor,
            clock=wall_clock_ms,
            new_id=self._new_id,
            debounce_seconds=10,
            owner=_OWNER,
            retention_days=7,
        )
        report = start_run(ctx, request, time_left_ms=lambda: _UNLIMITED_MS)
        while steps.messages:
            delivery = Delivery(steps.messages.pop(0).body, "handle", 1)
            report = run_step(delivery, ctx, time_left_ms=lambda: _UNLIMITED_MS)
        counts = [part.counts for step in report.steps.values() for part in step.subdirs]
        if any(one.missing or one.changed or one.gone or one.failed for one in counts):
            raise RuntimeError(f"reconcile found differences: {counts}")

    def roll_back(self, generation: int) -> None:
        """Restore a generation and publish it."""
        channel = Channel(
            bucket=CHANNEL_BUCKET,
            name=TEAM.channel,
            public=self.channel,
            state=self.state,
            executor=self.merger.executor,
            clock=wall_clock_ms,
            new_id=self._new_id,
            owner=_OWNER,
        )
        rollback(channel, TEAM, generation)
        self.merge()

    def _merge(self, merger: MergeContext, scope: Scope = Scope.ALL) -> None:
        request = MergeRequest(TEAM, not_before=wall_clock_ms(), check_files=True)
        merge(merger, request, time_left_ms=lambda: _UNLIMITED_MS, scope=scope)


def work(name: str) -> Iterator[Step]:
    """The steps of one child process."""
    subject = Subject()
    if name == "index":
        yield _measured("first index", subject.index_everything)
        return
    if name == "uploads":
        for temperature in ("cold", "warm"):
            subject.upload(f"99.{temperature == 'warm':d}")
            yield _measured(
                f"one upload, {temperature}: leading", lambda: subject.merge(Scope.SHARDS)
            )
            yield _measured(f"one upload, {temperature}: trailing", subject.merge)
        return
    if name == "reconcile":
        request = ReconcileRequest(channel=TEAM.channel, subdir=TEAM.name)
        yield _measured(name, lambda: subject.reconcile(request))
        return
    if name == "reconcile all":
        yield _measured(name, lambda: subject.reconcile(ReconcileRequest()))
        return
    if name == "many":
        yield _measured("first index of each", subject.index_many)
        return
    subject.upload("98", _ROLLED_BACK)
    yield _measured(f"{_ROLLED_BACK} uploads", subject.merge)
    generation = json.loads(subject.state.get(TEAM.head_key).body)["generation"]  # type: ignore[union-attr]
    yield _measured(f"rollback of {_ROLLED_BACK}", lambda: subject.roll_back(generation - 1))


def _measured(name: str, run: Callable[[], None]) -> Step:
    forget_peak()
    began, cpu = time.monotonic(), time.process_time()
    run()
    wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    return Step(name, wall_s, cpu_s, peak_mb(), began)


def _count(channel: ObjectStore) -> int:
    return sum(1 for _ in channel.list(TEAM.prefix))


def _filename(index: Mapping[str, object]) -> str:
    return f"{index['name']}-{index['version']}-{index['build']}.conda"


def _verdict(filename: str, index: Mapping[str, object], identity: ObjectId) -> Indexed:
    digests = Digests(
        sha256=f"{crc32(filename.encode()):064x}",
        md5=f"{crc32(filename.encode()):032x}",
        sha256_from="read",
        md5_from="read",
    )
    return Indexed(
        filename=filename,
        extractor=EXTRACTOR_VERSION,
        at=wall_clock_ms(),
        identity=identity,
        record=make_record(
            dict(index), filename, str(index["subdir"]), size=identity.size, digests=digests
        ),
        digests_from={"sha256": "read", "md5": "read"},
    )


def measure_subdir(packages: int, latency_ms: float, say: Say) -> Table:
    """Rows of all steps with a subdir of so many packages."""
    rows: Table = [_COLUMNS]
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:] or cores)
    with s3_server() as s3:
        s3.create(STATE_BUCKET)
        keys = ((TEAM.file_key(_filename(index)), b"x") for index in indexes(packages))
        s3.load([CHANNEL_BUCKET], keys)
        say(f"{packages:,} packages are there")
        for name in ("index", "uploads", "reconcile", "reconcile", "rollback"):
            for row in _run(name, s3, 0 if name == "index" else latency_ms, cores):
                rows.append(row)
                say(", ".join(row))
    os.sched_setaffinity(0, cores)
    return rows


def _run(name: str, s3: S3Server, latency_ms: float, cores: list[int]) -> Iterator[list[str]]:
    command = [sys.executable, "-m", "benchmarks.million", "--work", name]
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sluice")])
    variables = {**aws_variables(s3.endpoint), "PYTHONPATH": path}
    s3.take(latency_ms=latency_ms)
    with child_process(command, variables, stdout=subprocess.PIPE) as child:
        os.sched_setaffinity(child.pid, cores[:1])
        assert child.stdout
        for line in child.stdout:
            step = Step(**json.loads(line))
            taken = s3.take(latency_ms=latency_ms)
            after = [
                f"{at - step.began:.2f}"
                if (at := taken.written.get(f"{CHANNEL_BUCKET}/{TEAM.file_key(file)}"))
                and at >= step.began
                else ""
                for file in (SHARD_INDEX, REPODATA)
            ]
            requests = ", ".join(
                f"{count.requests:,} {operation.removeprefix('s3:')}"
                for operation, count in sorted(taken.counts.items())
            )
            numbers = [f"{step.cpu_s:.2f}", f"{step.peak_mb:,.0f}"]
            yield [step.name, f"{step.wall_s:.2f}", *after, *numbers, requests]
        if child.wait():
            raise RuntimeError(f"{name} failed; see above")


def measure_subdirs(counts: list[int], say: Say) -> Table:
    """Rows of reconcile over buckets of so many subdirs: one of one package, and its ``noarch``."""
    rows: Table = [["subdirs", *_COLUMNS[1:2], "CPU s", "ms of CPU per subdir", "requests", "each"]]
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:] or cores)
    for count in counts:
        with s3_server() as s3:
            s3.create(STATE_BUCKET)
            index = next(indexes(1))
            keys = (
                f"channel-{number:05}/{SUBDIR}/{_filename(index)}" for number in range(count // 2)
            )
            s3.load([CHANNEL_BUCKET], ((key, b"x") for key in keys))
            for name in ("many", "reconcile all", "reconcile all"):
                for row in _run(name, s3, 0, cores):
                    say(f"{count:,} subdirs: {', '.join(row)}")
            _, wall_s, _, _, cpu_s, _, requests = row
            total = sum(int(part.split()[0].replace(",", "")) for part in requests.split(", "))
            each = [f"{1000 * float(cpu_s) / count:.2f}", f"{total:,}", f"{total / count:.2f}"]
            rows.append([f"{count:,}", wall_s, cpu_s, *each])
    os.sched_setaffinity(0, cores)
    return rows


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=1_000_000)
    parser.add_argument("--latency-ms", type=float, default=15)
    parser.add_argument("--subdirs", type=int, nargs="*", default=[1000, 20_000])
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        for step in work(arguments.work):
            print(json.dumps(asdict(step)), flush=True)
        return
    leave_in_order_when_terminated()
    conditions, say = observe("make bench-million", *_VERSIONS), progress()
    parts = [
        "# A million packages, and 20,000 subdirs",
        "Written by `make bench-million`, which says what it measures.",
    ]
    if arguments.packages:
        rows = measure_subdir(arguments.packages, arguments.latency_ms, say)
        parts.append(f"## {arguments.packages:,} packages, {arguments.latency_ms:g} ms per request")
        parts.append(table(rows))
    if arguments.subdirs:
        parts += ["## Many subdirs", table(measure_subdirs(arguments.subdirs, say))]
    parts += ["## Measured", conditions.table()]
    text = "\n\n".join(parts) + "\n"
    arguments.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
