"""Reading a ``.conda`` of 1 GiB: what extract moves and how much memory it takes."""

from __future__ import annotations

import io
import json
import os
import zipfile
from hashlib import md5, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.s3.transfer import TransferConfig

from benchmarks.cases import Case, Sample
from benchmarks.messages import upload_event
from benchmarks.stage import Bench, Samples
from benchmarks.subjects import CHANNEL, Sluice, expect_no_failures
from benchmarks.work import Work
from tests.support.channel import conda

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024 * 1024
WITH_DIGESTS = "large-with-digests"
WITHOUT_DIGESTS = "large-without-digests"
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
_KEY = f"{CHANNEL}/{_INDEX['subdir']}/{_STEM}.conda"


def measure(bench: Bench, payload_mib: int) -> Samples:
    """Upload one package in two ways and let a fresh process read it each time."""
    path = bench.scratch / f"{_STEM}.conda"
    digests = _write(path, payload_mib)
    sluice = Sluice(bench.cloud, "large", bench.log)
    for operation, metadata in ((WITH_DIGESTS, digests), (WITHOUT_DIGESTS, {})):
        for bucket in sluice.buckets:
            bench.cloud.s3.create(bucket)
        with bench.cloud.s3_client() as s3:
            s3.upload_file(
                str(path),
                sluice.bucket,
                _KEY,
                ExtraArgs={"Metadata": metadata},
                Config=TransferConfig(multipart_chunksize=_PART_BYTES),
            )
            bench.say(f"a .conda of {payload_mib} MiB is uploaded, for {operation}")
            sample = _read(sluice, path.stat().st_size, payload_mib)
            _expect_staged(s3, sluice.state_bucket, digests["package-sha256"])
        yield Case(operation, 1, 0.0, sluice.name, "cold"), sample
        for bucket in sluice.buckets:
            bench.cloud.s3.drop(bucket)


def _read(sluice: Sluice, size: int, payload_mib: int) -> Sample:
    with sluice.function("extract") as extract:
        sluice.cloud.take()
        usage = extract.run(upload_event(sluice.bucket, _KEY, size))
        requests = sluice.cloud.take().counts
    expect_no_failures(usage)
    return Sample(
        works={"extract": Work.of([usage])},
        init_s=extract.imports.wall_s,
        requests=requests,
        facts={"payload_mib": payload_mib, "peak_mib_before": extract.imports.peak_mib},
    )


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
