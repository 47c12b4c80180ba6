"""Reading a ``.conda`` of 1 GiB: what extract moves and how much memory it takes."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.s3.transfer import TransferConfig

from benchmarks.counts import Count
from benchmarks.messages import upload_event
from benchmarks.subjects import CHANNEL, Sluice, expect_no_failures
from benchmarks.uploads import Bench
from benchmarks.worker import Usage
from tests.support.channel import conda

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024 * 1024
_PART_BYTES = 10 * MIB
"""As rattler-build cuts its uploads."""
_STEM = "large-1.0-h0_0"
_INDEX = {
    "build": "h0_0",
    "build_number": 0,
    "depends": [],
    "name": "large",
    "subdir": "linux-64",
    "version": "1.0",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One large package read by extract."""

    how: str
    imports: Usage
    usage: Usage
    requests: Mapping[str, Count]


def measure(bench: Bench, payload_mib: int) -> Iterator[Reading]:
    """Upload one package in two ways and let a fresh process read it each time."""
    path = bench.scratch / f"{_STEM}.conda"
    digests = _write(path, payload_mib)
    sluice = Sluice(bench.cloud, "large", bench.log)
    s3 = bench.cloud.s3()
    for bucket in (sluice.bucket, sluice.state_bucket):
        s3.create_bucket(Bucket=bucket)
    key = f"{CHANNEL}/{_INDEX['subdir']}/{path.name}"
    for how, metadata in (("digests in its metadata", digests), ("no digests", {})):
        s3.upload_file(
            str(path),
            sluice.bucket,
            key,
            ExtraArgs={"Metadata": metadata},
            Config=TransferConfig(multipart_chunksize=_PART_BYTES),
        )
        bench.say(f"a .conda of {payload_mib} MiB is uploaded, {how}")
        with sluice.function("extract") as extract:
            bench.cloud.take()
            usage = extract.run(upload_event(sluice.bucket, key, path.stat().st_size))
            yield Reading(how, extract.imports, usage, bench.cloud.take())
        expect_no_failures(usage)
        _expect_staged(s3, sluice.state_bucket, digests["package-sha256"])
        s3.delete_object(Bucket=sluice.bucket, Key=key)


def _write(path: Path, payload_mib: int) -> dict[str, str]:
    """Write a ``.conda`` whose payload does not compress; return its digests as metadata.

    The user metadata is what rattler-build's upload command sets.
    """
    small = zipfile.ZipFile(io.BytesIO(conda(_INDEX).body))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", small.read("metadata.json"))
        with archive.open(f"pkg-{_STEM}.tar.zst", "w", force_zip64=True) as payload:
            for _ in range(payload_mib):
                payload.write(os.urandom(MIB))
        archive.writestr(f"info-{_STEM}.tar.zst", small.read(f"info-{_STEM}.tar.zst"))
    digests = {"package-sha256": sha256(), "package-md5": md5(usedforsecurity=False)}
    with path.open("rb") as file:
        while block := file.read(MIB):
            for digest in digests.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _expect_staged(s3: S3Client, state_bucket: str, digest: str) -> None:
    """Stop unless every staging record so far holds the right digest."""
    for staged in s3.list_objects_v2(Bucket=state_bucket, Prefix="staging/")["Contents"]:
        record = json.load(s3.get_object(Bucket=state_bucket, Key=staged["Key"])["Body"])
        if record["record"]["sha256"] != digest:
            raise RuntimeError("extract staged another digest than the package has")
