"""Reading a ``.conda`` of 1 GiB: what extract moves and how much memory it takes."""

from __future__ import annotations

import io
import json
import os
import zipfile
from contextlib import closing
from hashlib import file_digest
from pathlib import Path

from boto3.s3.transfer import TransferConfig

from benchmarks.cases import Case, Sample, Work
from benchmarks.functions import upload_event
from benchmarks.stage import Bench, Measurements
from benchmarks.subjects import CHANNEL, Sluice, expect_no_failures
from testkit.channel import conda

WITH_DIGESTS, WITHOUT_DIGESTS = "large-with-digests", "large-without-digests"
_MIB = 1024 * 1024
_PART_BYTES = 10 * _MIB
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
_KEY = f"{CHANNEL}/linux-64/{_STEM}.conda"


def measure(bench: Bench, payload_mib: int) -> Measurements:
    """Upload one package in two ways and let a new process read it each time."""
    path = bench.scratch / f"{_STEM}.conda"
    digests = _write(path, payload_mib)
    sluice, s3 = Sluice(bench.cloud, "large", bench.log), bench.cloud.s3
    for operation, metadata in ((WITH_DIGESTS, digests), (WITHOUT_DIGESTS, {})):
        for bucket in sluice.buckets:
            s3.create(bucket)
        with closing(bench.cloud.s3_client()) as client:
            client.upload_file(
                str(path),
                sluice.bucket,
                _KEY,
                ExtraArgs={"Metadata": metadata},
                Config=TransferConfig(multipart_chunksize=_PART_BYTES),
            )
            bench.say(f"a .conda of {payload_mib} MiB is uploaded, for {operation}")
            sample = _read(sluice, path.stat().st_size, payload_mib)
            staged = client.list_objects_v2(Bucket=sluice.state_bucket, Prefix="staging/")
        for key in (entry["Key"] for entry in staged["Contents"]):
            record = json.loads(s3.read(sluice.state_bucket, key))["record"]
            if record["sha256"] != digests["package-sha256"]:
                raise RuntimeError("extract staged another digest than the package has")
        yield Case(operation, 1, 0.0, sluice.name, "cold"), sample
        for bucket in sluice.buckets:
            s3.drop(bucket)


def _read(sluice: Sluice, size: int, payload_mib: int) -> Sample:
    with sluice.function("extract") as extract:
        sluice.cloud.take()
        usage = extract.run(upload_event(sluice.bucket, _KEY, size))
        requests = sluice.cloud.take().counts
    expect_no_failures(usage)
    return Sample(
        works={"extract": Work.of(usage)},
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
                payload.write(os.urandom(_MIB))
        archive.writestr(f"info-{_STEM}.tar.zst", small.read(f"info-{_STEM}.tar.zst"))
    digests = {}
    for algorithm in ("sha256", "md5"):
        with path.open("rb") as file:
            digests[f"package-{algorithm}"] = file_digest(file, algorithm).hexdigest()
    return digests
