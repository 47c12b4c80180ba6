"""``sluice index`` beside rattler-index in a bucket that nobody has indexed, on more servers.

``measures.index`` does that for channels of tiny packages in memory.  Here are packages of 4 MiB,
with and without the digests that rattler-build states, and SeaweedFS, a real server on the same
cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import md5, sha256
from itertools import islice
from typing import IO, TYPE_CHECKING

import boto3
from botocore.config import Config

from benchmarks.cases import Case, Sample
from benchmarks.channel import Change
from benchmarks.emulator import Cloud
from benchmarks.processes import Say
from benchmarks.published import check
from benchmarks.stage import Measurements
from benchmarks.subjects import CHANNEL, rattler_arguments, sluice_arguments, tool_session
from benchmarks.worker import RATTLER_INDEX, SLUICE_INDEX
from testkit.channel import Package
from testkit.counts import Count
from testkit.made_up import SUBDIR, conda, indexes, payload
from testkit.real_s3.seaweedfs import run_seaweedfs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE, LARGE_STATED = "index-first-4-mib", "index-first-4-mib-stated"
SEAWEEDFS = "seaweedfs-"
"""What the operation begins with where the server is SeaweedFS."""
TINY = "index-first"
OPERATIONS = (LARGE, LARGE_STATED, *(f"{SEAWEEDFS}{name}" for name in (TINY, LARGE, LARGE_STATED)))
_PAYLOAD_BYTES = 4 * 1024 * 1024
_AT_ONCE = 8
_SUBJECTS = (SLUICE_INDEX, RATTLER_INDEX)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many packages each measurement has; 0 leaves it out."""

    large: int
    """Packages of 4 MiB."""
    seaweedfs: int
    """Tiny packages on SeaweedFS."""
    seaweedfs_large: int
    """Packages of 4 MiB on SeaweedFS."""


@dataclass(frozen=True, slots=True)
class Server:
    """An S3 that is measured on."""

    client: S3Client
    """For everything that is not measured."""
    variables: Mapping[str, str]
    """The environment of what is measured."""
    take: Callable[[], Mapping[str, Count]]
    """The requests since the last call, where the server counts them."""


def measure(cloud: Cloud, log: IO[bytes], say: Say, sizes: Sizes, runs: int) -> Measurements:
    """Measure all of it, ``runs`` times each."""
    with _in_memory(cloud) as server:
        for operation in (LARGE, LARGE_STATED):
            yield from _measure(server, operation, sizes.large, runs, log, say)
    if not (sizes.seaweedfs or sizes.seaweedfs_large):
        return
    with _seaweedfs() as server:
        for operation, count in (
            (TINY, sizes.seaweedfs),
            (LARGE, sizes.seaweedfs_large),
            (LARGE_STATED, sizes.seaweedfs_large),
        ):
            yield from _measure(server, f"{SEAWEEDFS}{operation}", count, runs, log, say)


def _measure(
    server: Server, operation: str, count: int, runs: int, log: IO[bytes], say: Say
) -> Measurements:
    if not count:
        return
    channel = _Channel(server, operation, count)
    change = channel.upload()
    say(f"{count:,} packages are uploaded, for {operation}")
    for _ in range(runs):
        for subject in _SUBJECTS:
            channel.forget_index()
            case = Case(operation, count, 0.0, subject, "cold")
            arguments = (
                sluice_arguments(channel.bucket)
                if subject == SLUICE_INDEX
                else rattler_arguments(channel.bucket)
            )
            with tool_session(subject, server.variables, arguments, log) as session:
                server.take()
                indexed = session.index(change)
                requests = server.take()
            sample = Sample(
                works=indexed.works,
                init_s=session.init_s,
                requests=requests,
                published=check(channel.read, change.expected),
                facts=change.facts,
            )
            say(f"{case}: {sample.wall_s:.2f} s, {sample.cpu_s:.2f} s of CPU")
            yield case, sample
    channel.drop()


class _Channel:
    """Packages in a bucket of their own, and the bucket of sluice's state."""

    def __init__(self, server: Server, operation: str, count: int) -> None:
        self.bucket = operation
        self._client = server.client
        self._operation = operation
        self._count = count

    def upload(self) -> Change:
        """Put all packages; the records that they must have in the index."""
        for bucket in self._buckets:
            self._client.create_bucket(Bucket=bucket)
        expected: dict[str, Mapping[str, str]] = {}
        packages = self._packages()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while batch := list(islice(packages, _AT_ONCE)):
                for package, digest in zip(batch, pool.map(self._put, batch), strict=True):
                    expected[package.filename] = {"sha256": digest}
        return Change(expected=expected, facts={"packages": self._count})

    def forget_index(self) -> None:
        """Leave nothing but the packages."""
        for bucket in self._buckets:
            keys = [key for key in self._keys(bucket) if not key.endswith(".conda")]
            self._delete(bucket, keys)

    def read(self, name: str) -> bytes:
        """Read a published file."""
        key = f"{CHANNEL}/{SUBDIR}/{name}"
        return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def drop(self) -> None:
        """Delete all of it."""
        for bucket in self._buckets:
            self._delete(bucket, list(self._keys(bucket)))

    @property
    def _buckets(self) -> Sequence[str]:
        return self.bucket, f"{self.bucket}-state"

    def _packages(self) -> Iterator[Package]:
        if self._operation.endswith(TINY):
            return map(conda, indexes(self._count))
        return (
            conda(index, payload(number, _PAYLOAD_BYTES))
            for number, index in enumerate(indexes(self._count))
        )

    def _put(self, package: Package) -> str:
        digest = sha256(package.body).hexdigest()
        stated = {
            "package-sha256": digest,
            "package-md5": md5(package.body, usedforsecurity=False).hexdigest(),
        }
        self._client.put_object(
            Bucket=self.bucket,
            Key=f"{CHANNEL}/{package.path}",
            Body=package.body,
            Metadata=stated if self._operation.endswith(LARGE_STATED) else {},
        )
        return digest

    def _keys(self, bucket: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", ()):
                yield entry["Key"]

    def _delete(self, bucket: str, keys: Sequence[str]) -> None:
        for first in range(0, len(keys), 1000):
            objects = [{"Key": key} for key in keys[first : first + 1000]]
            self._client.delete_objects(Bucket=bucket, Delete={"Objects": objects})  # type: ignore[typeddict-item]


@contextmanager
def _in_memory(cloud: Cloud) -> Iterator[Server]:
    with closing(cloud.s3_client()) as client:
        yield Server(client, cloud.client_variables, lambda: cloud.take().counts)


@contextmanager
def _seaweedfs() -> Iterator[Server]:
    with run_seaweedfs() as running:
        variables = {
            **running.environment,
            "AWS_ENDPOINT_URL_S3": running.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        client = boto3.client(
            "s3",
            endpoint_url=running.endpoint,
            region_name=running.region,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}),
        )
        with closing(client):
            yield Server(client, variables, dict)
