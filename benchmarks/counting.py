"""The counting proxy as a child process, and what it has counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

from benchmarks.counts import Count
from benchmarks.processes import ROOT
from benchmarks.wire import LOOPBACK


@dataclass(frozen=True, slots=True)
class Counter:
    """A running proxy."""

    port: int

    @property
    def endpoint(self) -> str:
        """The URL for clients whose requests are to be counted."""
        return f"http://{LOOPBACK}:{self.port}"

    def take(self, *, latency_ms: float = 0) -> dict[str, Count]:
        """Requests by operation since the last call; from now on each waits ``latency_ms``."""
        answer = get(self.port, f"/-/take?latency_ms={latency_ms}")
        return {name: Count(**count) for name, count in json.loads(answer).items()}


@contextmanager
def counter(upstream_port: int) -> Iterator[Counter]:
    """Run a proxy before the emulator that listens on ``upstream_port``."""
    command = [sys.executable, "-m", "benchmarks.proxy", str(upstream_port)]
    # Found whatever the working directory: tests run it, too.
    with process(command, {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE) as proxy:
        assert proxy.stdout is not None
        yield Counter(int(proxy.stdout.readline()))


@contextmanager
def process(
    command: list[str], environment: Mapping[str, str], **pipes: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child while in the context."""
    child = subprocess.Popen(command, env={**os.environ, **environment}, **pipes)  # type: ignore[call-overload]
    try:
        yield child
    finally:
        child.terminate()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def get(port: int, path: str) -> bytes:
    """GET from a loopback port."""
    connection = HTTPConnection(LOOPBACK, port)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
