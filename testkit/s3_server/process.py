"""The server as a child process, and what it tells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import quote, urlencode

from testkit.child_process import child_process, get
from testkit.counts import Count
from testkit.http1 import LOOPBACK
from testkit.s3_server.conditions import Deviation
from testkit.s3_server.fixtures import pack
from testkit.s3_server.listing import PAGE_KEYS_MAX

_GOOD = frozenset({200, 204})


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
        taken = json.loads(get(self.port, f"/-/take?latency_ms={latency_ms}"))
        counts = {name: Count(**count) for name, count in taken["counts"].items()}
        return Taken(counts, taken["written"], taken["first_answer"])

    def load(self, buckets: Sequence[str], objects: Iterable[tuple[str, bytes]]) -> None:
        """Put many objects into each of the buckets, which are made where they are not there."""
        query = urlencode([("bucket", name) for name in buckets])
        self._request(("POST", f"/-/load?{query}", batch) for batch in pack(objects))

    def copy(self, source: str, target: str) -> None:
        """Make a bucket hold what another holds, and nothing else."""
        self._request([("POST", f"/-/copy?{urlencode({'from': source, 'to': target})}", b"")])

    def age(self, bucket: str, prefix: str, *, seconds: float) -> None:
        """Date back the objects whose keys begin with ``prefix``, as if time had passed."""
        query = urlencode({"bucket": bucket, "prefix": prefix, "seconds": seconds})
        self._request([("POST", f"/-/age?{query}", b"")])

    def drop(self, bucket: str) -> None:
        """Forget a bucket."""
        self._request([("POST", f"/-/drop?{urlencode({'bucket': bucket})}", b"")])

    def create(self, bucket: str) -> None:
        """Make an empty bucket."""
        self._request([("PUT", f"/{bucket}", b"")])

    def read(self, bucket: str, key: str) -> bytes:
        """Read an object."""
        return self._request([("GET", f"/{bucket}/{quote(key)}", b"")])

    def delete(self, bucket: str, keys: Iterable[str]) -> None:
        """Delete objects."""
        self._request([("DELETE", f"/{bucket}/{quote(key)}", b"") for key in keys])

    def _request(self, requests: Iterable[tuple[str, str, bytes]]) -> bytes:
        """Send requests one after the other over one connection; the last answer's body."""
        connection = HTTPConnection(LOOPBACK, self.port)
        body = b""
        try:
            for method, target, content in requests:
                connection.request(method, target, content)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status not in _GOOD:
                    raise RuntimeError(f"{method} {target} was answered with {answer.status}")
        finally:
            connection.close()
        return body


@contextmanager
def s3_server(
    *, page_size: int = PAGE_KEYS_MAX, deviations: Iterable[Deviation] = ()
) -> Iterator[S3Server]:
    """Run a server on a free port of the loopback interface while in the context."""
    command = [sys.executable, "-m", "testkit.s3_server", "--page-size", str(page_size)]
    command += (f"--deviation={one}" for one in deviations)
    with child_process(command, {}, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield S3Server(int(server.stdout.readline()))
