"""MiniStack and the counting proxy before it: the S3 of a benchmark, started and stopped here."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import quote

import boto3

from benchmarks.counting import Counter, counter, get, process
from benchmarks.counts import Count
from benchmarks.http import LOOPBACK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
_KEY = "test"
_START_SECONDS_MAX = 60
_UPLOAD_THREADS = 4


class _ClientArguments(TypedDict):
    endpoint_url: str
    region_name: str
    aws_access_key_id: str
    aws_secret_access_key: str


@dataclass(frozen=True, slots=True)
class Cloud:
    """An emulated AWS, and the way to it."""

    direct_port: int
    """Of the emulator: for everything that is not measured."""
    counter: Counter
    """The proxy: for what is measured."""

    @property
    def endpoint(self) -> str:
        """The URL for clients that are not measured."""
        return f"http://{LOOPBACK}:{self.direct_port}"

    @property
    def counted_endpoint(self) -> str:
        """The URL for clients that are measured."""
        return self.counter.endpoint

    def take(self, *, latency_ms: float = 0) -> dict[str, Count]:
        """Requests by operation since the last call; from now on each waits ``latency_ms``."""
        return self.counter.take(latency_ms=latency_ms)

    def s3(self) -> S3Client:
        """A client that is not measured."""
        return boto3.client("s3", **self._client_arguments())

    def sqs(self) -> SQSClient:
        """A client that is not measured."""
        return boto3.client("sqs", **self._client_arguments())

    def _client_arguments(self) -> _ClientArguments:
        return {
            "endpoint_url": self.endpoint,
            "region_name": REGION,
            "aws_access_key_id": _KEY,
            "aws_secret_access_key": _KEY,
        }

    def put_all(self, bucket: str, objects: Iterable[tuple[str, bytes]]) -> None:
        """Store many small objects fast, past the proxy."""
        put_all(self.direct_port, bucket, objects)


@contextmanager
def cloud(scratch: Path) -> Iterator[Cloud]:
    """Run MiniStack and the proxy on free ports of the loopback interface; logs in ``scratch``."""
    port = _free_port()
    environment = {"GATEWAY_PORT": str(port), "BIND_HOST": LOOPBACK, "LOG_LEVEL": "WARNING"}
    with ExitStack() as stack:
        log = stack.enter_context((scratch / "ministack.log").open("wb"))
        stack.enter_context(
            process([sys.executable, "-m", "ministack"], environment, stdout=log, stderr=log)
        )
        proxy = stack.enter_context(counter(port))
        _wait_until_healthy(port)
        yield Cloud(port, proxy)


def put_all(port: int, bucket: str, objects: Iterable[tuple[str, bytes]]) -> None:
    """Store many small objects fast: unsigned and in parallel."""

    def put(batch: Iterator[tuple[str, bytes]]) -> None:
        connection = HTTPConnection(LOOPBACK, port)
        for key, body in batch:
            connection.request("PUT", f"/{bucket}/{quote(key)}", body)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise RuntimeError(f"PUT {key} was answered with {response.status}")
        connection.close()

    everything = list(objects)
    with ThreadPoolExecutor(_UPLOAD_THREADS) as pool:
        batches = [iter(everything[i::_UPLOAD_THREADS]) for i in range(_UPLOAD_THREADS)]
        list(pool.map(put, batches))


def credentials(endpoint: str) -> dict[str, str]:
    """The environment of an AWS client that talks to ``endpoint`` and to nothing else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _wait_until_healthy(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while True:
        try:
            get(port, "/_ministack/health")
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
