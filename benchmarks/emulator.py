"""The AWS of a benchmark, started and stopped here: an S3 of its own, and MiniStack's SQS.

MiniStack's S3 takes the longer for a page of a listing the more keys a bucket holds; it would be
what is measured.  Its SQS is reached through a counting proxy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3

from local.emulator import CREDENTIALS, REGION, run_emulator
from testkit.proxy import Counter, counter
from testkit.s3_server.process import S3Server, Taken, s3_server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Cloud:
    """An emulated AWS, and the way to it."""

    s3: S3Server
    sqs: SQSClient
    """For everything that is not measured."""
    counter: Counter
    """The proxy before MiniStack: for what is measured."""

    @property
    def client_variables(self) -> dict[str, str]:
        """What a client of AWS needs, so that it talks to this one and to nothing else."""
        return {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": self.s3.endpoint,
            "AWS_ENDPOINT_URL_SQS": self.counter.endpoint,
        }

    def take(self, *, latency_ms: float = 0) -> Taken:
        """What happened since the last call; from now on each request waits ``latency_ms``."""
        taken = self.s3.take(latency_ms=latency_ms)
        sqs = self.counter.take(latency_ms=latency_ms)
        return replace(taken, counts={**taken.counts, **sqs})

    def s3_client(self) -> S3Client:
        """A client of AWS's own, whose requests are counted as all are."""
        return _session().client("s3", endpoint_url=self.s3.endpoint)


@contextmanager
def cloud(scratch: Path) -> Iterator[Cloud]:
    """Run everything on free ports of the loopback interface; logs in ``scratch``."""
    with (
        run_emulator(scratch / "ministack") as emulator,
        counter(port_of(emulator.endpoint)) as proxy,
        s3_server() as s3,
        closing(_session().client("sqs", endpoint_url=emulator.endpoint)) as sqs,
    ):
        yield Cloud(s3, sqs, proxy)


def port_of(endpoint: str) -> int:
    """The port of a URL."""
    port = urlsplit(endpoint).port
    assert port
    return port


def _session() -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
