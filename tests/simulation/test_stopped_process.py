"""A real process, stopped for 27 hours between its first write and its swap of the head.

It runs ``sluice index`` against an S3 over HTTP.  When that has stored the commit, the process is
stopped by SIGSTOP, as if its machine slept.  The clocks of both go on, a reconcile deletes what is
a day old and unreachable, the commit among it, and SIGCONT wakes the process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest

from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import open_channel
from sluice.admin.standalone.index import IndexOptions, index
from sluice.admin.verify.findings import Defect
from sluice.admin.verify.verify import verify
from sluice.catalog.head import read_head
from sluice.concurrency import in_order
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.run import start_run
from sluice.storage.object_store import ObjectHeaders
from testkit.channel import Package
from testkit.memory_queue import MemoryQueue
from testkit.s3_server.process import S3Server
from testkit.s3_server.requests import Request
from testkit.s3_server.server import Server
from tests.support.standalone_channel import CHANNEL, LINUX, package

ASLEEP_SECONDS = 27 * 60 * 60
STARTS_WITHIN_SECONDS = 60
BUCKET, STATE = "packages", "packages-state"

# The process has no other clock than these two functions: signatures alone are dated otherwise,
# and this S3 does not look at them.
CHILD = '''
"""Run sluice by a clock that is ahead of the machine's by as many seconds as a file says."""

import sys
import time
from pathlib import Path

ahead, deadline, *arguments = sys.argv[1:]
plain, plain_ns = time.time, time.time_ns
time.time = lambda: plain() + int(Path(ahead).read_text())
time.time_ns = lambda: plain_ns() + int(Path(ahead).read_text()) * 1_000_000_000

import sluice.merge.generation_writer
from sluice.cli.main import run

if deadline == "without-deadline":
    sluice.merge.generation_writer.SWAP_SECONDS_MAX = 10**9
sys.exit(run(arguments))
'''


class Sleep:
    """The two clocks, and a process that is stopped when S3 has stored its commit."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ahead"
        self.file.write_text("0")
        self.process: subprocess.Popen[str] | None = None
        self.commit = ""
        """Key of the commit that the process has written."""
        self._ahead = 0

    def now(self) -> float:
        """What S3 goes by, seconds since the epoch."""
        return time.time() + self._ahead

    def see(self, request: Request) -> None:
        """Stop the process at its first commit."""
        is_commit = request.operation == "s3:PutObject" and request.key.startswith(
            LINUX.commits.prefix
        )
        if is_commit and self.process and not self.commit:
            self.commit = request.key
            os.kill(self.process.pid, signal.SIGSTOP)

    def wait_until_stopped(self) -> None:
        """Return once the process stands still."""
        assert self.process
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.process.pid, os.WNOHANG | os.WUNTRACED)
            if pid:
                assert os.WIFSTOPPED(status), f"it has ended: {status}"
                return
            time.sleep(0.01)
        raise AssertionError("it has written no commit")

    def pass_by(self) -> None:
        """Let the time pass for which the machine sleeps."""
        self._ahead = ASLEEP_SECONDS
        self.file.write_text(str(ASLEEP_SECONDS))


@contextmanager
def s3(sleep: Sleep) -> Iterator[S3Server]:
    """An S3 in a thread of this process."""
    ports: Queue[int] = Queue()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        server = await Server(clock=sleep.now, on_done=sleep.see).listen()
        ports.put(server.sockets[0].getsockname()[1])
        await over.wait()
        server.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield S3Server(ports.get(timeout=STARTS_WITHIN_SECONDS))
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


@pytest.fixture
def sleep(tmp_path: Path) -> Sleep:
    return Sleep(tmp_path)


@pytest.fixture
def channel(sleep: Sleep, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    """A channel that is indexed, of which the collector counts the days already."""
    with s3(sleep) as server:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": server.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        for bucket in (BUCKET, STATE):
            server.create(bucket)
        channel = open_channel(f"s3://{BUCKET}/{CHANNEL}", state=STATE)
        upload(channel, package("alpha"))
        for _ in range(2):
            assert index(channel).failures == []
        yield channel


def upload(channel: Channel, one: Package) -> None:
    """Put a package there."""
    headers = ObjectHeaders("application/octet-stream")
    channel.public.put(f"{CHANNEL}/{one.path}", one.body, headers)


class Nowhere:
    """An UploadQueue that nobody reads."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """See ``UploadQueue.send_all``."""


def reconcile(channel: Channel, sleep: Sleep) -> None:
    """Run the daily reconcile of a stack on the same state."""
    queue = MemoryQueue()
    report = start_run(
        ReconcileContext(
            channel=channel.public,
            state=channel.state,
            bucket=channel.bucket,
            uploads=Nowhere(),
            merge_queue=queue,
            continuations=queue,
            executor=in_order,
            clock=lambda: int(sleep.now() * 1000),
            new_id=channel.new_id,
            debounce_seconds=10,
            owner=STATE,
            retention_days=1,
        ),
        ReconcileRequest(),
        time_left_ms=lambda: 900_000,
    )
    assert report.counts.failed == 0


def index_asleep(channel: Channel, sleep: Sleep, folder: Path, deadline: str) -> tuple[int, str]:
    """Index in a process that sleeps once it has written a commit; its exit code and output."""
    script = folder / "child.py"
    script.write_text(CHILD)
    arguments = ["index", f"s3://{BUCKET}/{CHANNEL}", "--state", STATE]
    sleep.process = subprocess.Popen(
        [sys.executable, str(script), str(sleep.file), deadline, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        sleep.wait_until_stopped()
        assert channel.state.head(sleep.commit)
        sleep.pass_by()
        reconcile(channel, sleep)
        assert channel.state.head(sleep.commit) is None, "the collector has to delete the commit"
        sleep.process.send_signal(signal.SIGCONT)
        told, _ = sleep.process.communicate(timeout=STARTS_WITHIN_SECONDS)
    finally:
        sleep.process.kill()
    return sleep.process.returncode, told


def test_it_begins_again_and_leaves_nothing_wrong(
    channel: Channel, sleep: Sleep, tmp_path: Path
) -> None:
    upload(channel, package("beta"))
    code, told = index_asleep(channel, sleep, tmp_path, "with-deadline")
    assert code == 0, told
    head = read_head(channel.state, LINUX).value
    assert head.generation == 2
    assert head.commit
    assert LINUX.commit_key(head.commit) != sleep.commit
    assert verify(channel, deep=True).findings == []
    assert index(channel, IndexOptions(collects=False)).read == 0


def test_without_a_deadline_the_head_would_name_a_commit_that_is_not_there(
    channel: Channel, sleep: Sleep, tmp_path: Path
) -> None:
    upload(channel, package("beta"))
    code, told = index_asleep(channel, sleep, tmp_path, "without-deadline")
    assert code == 0, told
    wrong = [(one.kind, one.object) for one in verify(channel).findings]
    assert (Defect.COMMIT_DAMAGED, sleep.commit) in wrong
