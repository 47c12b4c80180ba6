"""``python -m benchmarks.take_over``: what each step of a large take-over costs on one core.

A subdir is filled with the index of another tool, then one package is uploaded, and merges run
until no request is left, each with the time that its function has.  The process that merges has one
core, as a function of 1,769 MB has, and the S3 has the others.  Prints a table, and exits with 1 if
a step takes longer or needs more memory than the function has.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import md5, sha256
from pathlib import Path

from benchmarks.markdown import table
from benchmarks.processes import leave_in_order_when_terminated, progress
from sluice.concurrency import in_threads
from sluice.extract.staging import Indexed, write_staging_record
from sluice.layout import REPODATA, REPODATA_ZST, Subdir
from sluice.limits import CONCURRENT_REQUESTS_MAX
from sluice.merge.context import MergeContext
from sluice.merge.handler import carry_out_merge_request, parse_merge_message
from sluice.merge.outcome import MergeReport
from sluice.messages.merge_request import merge_message
from sluice.publish.publisher import Publisher
from sluice.storage import object_headers, s3_client, s3_store
from sluice.storage.object_id import ObjectId
from sluice.storage.s3_client import wall_clock_ms
from sluice.zstd import compress
from testkit.child_process import ROOT, child_process
from testkit.made_up import SUBDIR, indexes
from testkit.memory_queue import MemoryQueue
from testkit.s3_server.process import s3_server

CHANNEL_BUCKET, STATE_BUCKET = "channel", "state"
TEAM = Subdir("team", SUBDIR)
TIMEOUT_SECONDS = 300
"""Of MergeFunction, as the template has it."""
MEMORY_MB = 1769
"""``MergeMemorySize``, by default."""
_DEBOUNCE_SECONDS = 10
_INDEXED_MS = 1_700_000_000_000
_COLUMNS = ["step", "seconds", "CPU s", "peak MB", "generation", "unfinished", "files written"]


@dataclass(frozen=True, slots=True)
class Step:
    """One merge of the subdir."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    """Peak resident memory of the process in this step, in units of 1,024 * 1,024 bytes."""
    generation: int
    unfinished: bool
    files_written: int


def aws_variables(endpoint: str) -> dict[str, str]:
    """The environment of a client of the S3 server."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_S3": endpoint,
    }


def channel_files(size: int, names: int | None = None) -> Iterator[tuple[str, bytes]]:
    """The packages of a channel, each of one byte, and the index of another tool.

    ``names``: how many package names there are; ``None``: as many as in a usual channel.
    """
    records: list[bytes] = []
    for number, usual in enumerate(indexes(size)):
        index = usual
        if names:
            index = {**usual, "name": f"nightly-{number % names}", "version": f"1.{number}"}
        filename = f"{index['name']}-{index['version']}-{index['build']}.conda"
        yield TEAM.file_key(filename), b"x"
        record = {
            **{key: value for key, value in index.items() if value != []},
            "indexed_timestamp": _INDEXED_MS,
            "md5": md5(filename.encode(), usedforsecurity=False).hexdigest(),
            "sha256": sha256(filename.encode()).hexdigest(),
            "size": 1,
        }
        encoded = json.dumps(record, separators=(",", ":"), sort_keys=True)
        records.append(f'"{filename}":{encoded}'.encode())
    repodata = b'{"info":{"subdir":"%b"},"packages":{},"packages.conda":{%b}}' % (
        SUBDIR.encode(),
        b",".join(sorted(records)),
    )
    yield TEAM.file_key(REPODATA), repodata
    yield TEAM.file_key(REPODATA_ZST), compress(repodata)


def merge_until_idle(timeout_seconds: float) -> Iterator[Step]:
    """Upload a package, and merge until no request is left."""
    client = s3_client.make_s3_client()
    channel = s3_store.S3Store(client, CHANNEL_BUCKET)
    state = s3_store.S3Store(client, STATE_BUCKET)
    queue = MemoryQueue(time.time)
    ids = iter(range(10**9))
    ctx = MergeContext(
        channel=channel,
        state=state,
        bucket=CHANNEL_BUCKET,
        publisher=Publisher(channel, state, "state", max_age_seconds=60),
        merge_queue=queue,
        executor=in_threads(CONCURRENT_REQUESTS_MAX),
        clock=wall_clock_ms,
        new_id=lambda: f"{next(ids):032x}",
        debounce_seconds=_DEBOUNCE_SECONDS,
    )
    _upload(ctx)
    merge_message(TEAM, now_ms=ctx.clock(), debounce_seconds=_DEBOUNCE_SECONDS).send_to(queue)
    while queue.messages:
        request = parse_merge_message(queue.messages.pop(0).body)
        forget_peak()
        started, cpu = time.monotonic(), time.process_time()
        report = carry_out_merge_request(
            request, ctx, time_left_ms=partial(_time_left_ms, started + timeout_seconds)
        )
        if isinstance(report, MergeReport) and getattr(request, "subdir", None) == TEAM:
            yield Step(
                time.monotonic() - started,
                time.process_time() - cpu,
                peak_mb(),
                report.generation,
                report.unfinished,
                report.files_written,
            )


def _time_left_ms(stopped_at: float) -> int:
    return int((stopped_at - time.monotonic()) * 1000)


def _upload(ctx: MergeContext) -> None:
    index = {**next(indexes(1)), "name": "uploaded", "version": "1.0", "build": "0"}
    filename, digest = "uploaded-1.0-0.conda", "ab" * 32
    ctx.channel.put(TEAM.file_key(filename), b"x", object_headers.SHARD_HEADERS)
    info = ctx.channel.head(TEAM.file_key(filename))
    assert info
    verdict = Indexed(
        filename=filename,
        extractor=1,
        at=ctx.clock(),
        identity=ObjectId.from_info(info),
        record={**index, "subdir": SUBDIR, "sha256": digest, "md5": "ab" * 16, "size": 1},
        digests_from={"sha256": "read", "md5": "read"},
    )
    write_staging_record(ctx.state, TEAM, verdict, unique_id=ctx.new_id())


def forget_peak() -> None:
    """Have ``peak_mb`` count from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """Peak resident memory of this process, in units of 1,024 * 1,024 bytes."""
    match = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match
    return int(match[1]) / 1024


def main() -> None:
    """Print a table, and exit with 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=500_000)
    few = "package names in the channel: few in one of nightly builds; a usual one by default"
    parser.add_argument("--names", type=int, help=few)
    parser.add_argument("--latency-ms", type=float, nargs="*", default=[0, 15])
    parser.add_argument("--timeout-seconds", type=float, default=TIMEOUT_SECONDS)
    parser.add_argument("--merge", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.merge:
        for step in merge_until_idle(arguments.timeout_seconds):
            print(json.dumps(asdict(step)), flush=True)
        return
    leave_in_order_when_terminated()
    failed = False
    for latency_ms in arguments.latency_ms:
        steps = _measure(arguments, latency_ms)
        print(f"\n{arguments.packages:,} packages, {latency_ms:g} ms per request\n")
        print(table([_COLUMNS, *([str(n), *_cells(one)] for n, one in enumerate(steps, 1))]))
        failed |= any(
            one.wall_s > arguments.timeout_seconds or one.peak_mb > MEMORY_MB for one in steps
        )
    sys.exit(failed)


def _cells(step: Step) -> list[str]:
    return [
        f"{step.wall_s:.0f}",
        f"{step.cpu_s:.0f}",
        f"{step.peak_mb:,.0f}",
        str(step.generation),
        "yes" if step.unfinished else "",
        str(step.files_written),
    ]


def _measure(arguments: argparse.Namespace, latency_ms: float) -> list[Step]:
    packages: int = arguments.packages
    say = progress()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:] or cores)
    steps: list[Step] = []
    with s3_server() as s3:
        s3.create(STATE_BUCKET)
        s3.load([CHANNEL_BUCKET], channel_files(packages, arguments.names))
        say(f"{packages:,} packages are there")
        s3.take(latency_ms=latency_ms)
        command = [sys.executable, "-m", "benchmarks.take_over", "--merge"]
        command += ["--timeout-seconds", str(arguments.timeout_seconds)]
        path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sluice")])
        variables = {**aws_variables(s3.endpoint), "PYTHONPATH": path}
        with child_process(command, variables, stdout=subprocess.PIPE) as merger:
            os.sched_setaffinity(merger.pid, cores[:1])
            assert merger.stdout
            for line in merger.stdout:
                steps.append(Step(**json.loads(line)))
                say(f"{steps[-1]}")
            if merger.wait():
                raise RuntimeError("the merges failed; see above")
        counts = s3.take().counts
        say(f"{counts}")
    os.sched_setaffinity(0, cores)
    return steps


if __name__ == "__main__":
    main()
