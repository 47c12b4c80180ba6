"""The server as a child process, and what it tells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlencode

from benchmarks.counting import get, process
from benchmarks.counts import Count
from benchmarks.http import LOOPBACK
from benchmarks.processes import ROOT
from benchmarks.s3.listing import PAGE_KEYS_MAX
from benchmarks.s3.loading import pack


@dataclass(frozen=True, slots=True)
class Taken:
    """What happened since it was last asked."""

    counts: Mapping[str, Count]
    """By operation."""
    written: Mapping[str, float]
    """When each key was last written, by ``<bucket>/<key>``, on the machine's monotonic clock."""
    first_answer: float | None
    """When the first request was answered."""


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server."""

    port: int

    @property
    def endpoint(self) -> str:
        """The URL for clients."""
        return f"http://{LOOPBACK}:{self.port}"

    def take(self, *, latency_ms: float = 0) -> Taken:
        """What happened since the last call; from now on each request waits ``latency_ms``."""
        told = json.loads(get(self.port, f"/-/take?latency_ms={latency_ms}"))
        counts = {name: Count(**count) for name, count in told["counts"].items()}
        return Taken(counts, told["written"], told["first_answer"])

    def load(self, buckets: Sequence[str], objects: Iterable[tuple[str, bytes]]) -> None:
        """Put many objects into each of the buckets, which are made where they are not there."""
        query = urlencode([("bucket", name) for name in buckets])
        connection = HTTPConnection(LOOPBACK, self.port)
        try:
            for batch in pack(objects):
                connection.request("POST", f"/-/load?{query}", batch)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"a batch of objects was answered with {answer.status}")
        finally:
            connection.close()


@contextmanager
def s3_server(*, page_size: int = PAGE_KEYS_MAX) -> Iterator[S3Server]:
    """Run a server on a free port of the loopback interface while in the context."""
    command = [sys.executable, "-m", "benchmarks.s3", "--page-size", str(page_size)]
    # Found whatever the working directory: tests run it, too.
    with process(command, {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield S3Server(int(server.stdout.readline()))
