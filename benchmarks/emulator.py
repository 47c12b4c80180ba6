"""The AWS of a benchmark, started and stopped here: an S3 of its own, and MiniStack's SQS.

MiniStack's S3 takes the longer for a page of a listing the more keys a bucket holds; it would be
what is measured.  Its SQS is reached through a counting proxy.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import quote

import boto3

from benchmarks.counting import Counter, counter, get, process
from benchmarks.s3.process import S3Server, Taken, s3_server
from benchmarks.wire import LOOPBACK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
_KEY = "test"
_START_SECONDS_MAX = 60
_UPLOAD_THREADS = 4


@dataclass(frozen=True, slots=True)
class Cloud:
    """An emulated AWS, and the way to it."""

    s3: S3Server
    sqs: SQSClient
    """For everything that is not measured."""
    counter: Counter
    """The proxy before MiniStack: for what is measured."""

    @property
    def counted_sqs_endpoint(self) -> str:
        """The URL for clients that are measured."""
        return self.counter.endpoint

    def take(self, *, latency_ms: float = 0) -> Taken:
        """What happened since the last call; from now on each request waits ``latency_ms``."""
        taken = self.s3.take(latency_ms=latency_ms)
        sqs = self.counter.take(latency_ms=latency_ms)
        return replace(taken, counts={**taken.counts, **sqs})

    @contextmanager
    def s3_client(self) -> Iterator[S3Client]:
        """A client of AWS's own, whose requests are counted as all are."""
        with closing(
            boto3.client("s3", endpoint_url=self.s3.endpoint, **_client_arguments())
        ) as client:
            yield client


class _ClientArguments(TypedDict):
    region_name: str
    aws_access_key_id: str
    aws_secret_access_key: str


def _client_arguments() -> _ClientArguments:
    return {"region_name": REGION, "aws_access_key_id": _KEY, "aws_secret_access_key": _KEY}


@contextmanager
def cloud(scratch: Path) -> Iterator[Cloud]:
    """Run everything on free ports of the loopback interface; logs in ``scratch``."""
    port = _free_port()
    environment = {"GATEWAY_PORT": str(port), "BIND_HOST": LOOPBACK, "LOG_LEVEL": "WARNING"}
    with ExitStack() as stack:
        log = stack.enter_context((scratch / "ministack.log").open("wb"))
        stack.enter_context(
            process([sys.executable, "-m", "ministack"], environment, stdout=log, stderr=log)
        )
        proxy = stack.enter_context(counter(port))
        s3 = stack.enter_context(s3_server())
        _wait_until_healthy(port)
        endpoint = f"http://{LOOPBACK}:{port}"
        sqs = boto3.client("sqs", endpoint_url=endpoint, **_client_arguments())
        yield Cloud(s3, stack.enter_context(closing(sqs)), proxy)


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


def credentials() -> dict[str, str]:
    """The environment of a client of an emulated AWS."""
    return {
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
