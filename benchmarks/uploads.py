"""One upload into a channel of a given size, measured for both subjects on the same S3."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO

from rattler.index import index_fs

from benchmarks.channel import SUBDIR, MadeUpChannel
from benchmarks.counts import Count
from benchmarks.emulator import Cloud
from benchmarks.subjects import CHANNEL, Indexed, RattlerIndex, Session, Sluice, Temperature
from benchmarks.worker import RATTLER_INDEX
from tests.support.channel import Package

REPODATA = "repodata.json"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where measurements take place."""

    cloud: Cloud
    scratch: Path
    """An empty folder."""
    log: IO[bytes]
    """For what the subjects print."""
    say: Callable[[str], None]
    """For progress."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often to measure, and how far away S3 is to be."""

    latencies_ms: Sequence[float]
    runs: int

    def rounds(self) -> Iterator[tuple[float, bool]]:
        """Latency of each round and whether it counts; the first does not."""
        yield 0.0, False
        for latency_ms in self.latencies_ms:
            for _ in range(self.runs):
                yield latency_ms, True


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured, several times."""

    packages: int
    latency_ms: float
    subject: str
    temperature: Temperature

    def __str__(self) -> str:
        return f"{self.packages:,} packages, {self.latency_ms:g} ms, {self.who}"

    @property
    def who(self) -> str:
        """The subject, and whether its process was new where there is a choice."""
        return self.subject if self.subject == RATTLER_INDEX else f"sluice, {self.temperature}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One upload indexed once."""

    case: Case
    indexed: Indexed
    init_s: float
    requests: Mapping[str, Count]
    """By operation, as the proxy saw them."""
    published: Mapping[str, int]
    """Bytes of each index file afterwards, by filename."""


def measure(bench: Bench, packages: int, plan: Plan) -> Iterator[Sample]:
    """Prepare a channel of ``packages`` packages for both subjects, then carry out the plan.

    One round before the first is thrown away: in it sluice takes the index over that
    rattler-index has written, and the emulator imports what it needs.
    """
    channel = MadeUpChannel(packages)
    subjects = _prepare(bench, channel)
    bench.say(f"{packages} packages are in both buckets")
    uploads = count()
    for latency_ms, counted in plan.rounds():
        for subject in subjects:
            with subject.session() as session:
                for temperature in subject.temperatures:
                    case = Case(packages, latency_ms, subject.name, temperature)
                    package = channel.upload(next(uploads))
                    sample = _index(bench.cloud, case, subject.bucket, session, package)
                    note = "" if counted else " (not counted)"
                    bench.say(f"{case}: {sample.indexed.wall_s:.2f} s{note}")
                    if counted:
                        yield sample


def _index(cloud: Cloud, case: Case, bucket: str, session: Session, package: Package) -> Sample:
    cloud.put_all(bucket, [(f"{CHANNEL}/{package.path}", package.body)])
    cloud.take(latency_ms=case.latency_ms)
    indexed = session.index(package)
    requests = cloud.take()
    published = _read_published(cloud, bucket)
    if package.filename not in json.loads(published[REPODATA])["packages.conda"]:
        raise RuntimeError(f"{package.filename} was not indexed; see the log of the benchmark")
    sizes = {name: len(body) for name, body in published.items()}
    return Sample(case, indexed, session.init_s, requests, sizes)


def _prepare(bench: Bench, channel: MadeUpChannel) -> tuple[Sluice, RattlerIndex]:
    """Make both buckets hold the same channel, indexed by rattler-index."""
    folder = bench.scratch / f"channel-{channel.size}"
    (folder / "noarch").mkdir(parents=True)
    for package in channel.packages():
        package.write_below(folder)
    asyncio.run(index_fs(folder))
    objects = [
        (f"{CHANNEL}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    sluice = Sluice(bench.cloud, f"sluice-{channel.size}", bench.log)
    rattler = RattlerIndex(bench.cloud, f"rattler-index-{channel.size}", bench.log)
    s3 = bench.cloud.s3()
    for bucket in (sluice.bucket, sluice.state_bucket, rattler.bucket):
        s3.create_bucket(Bucket=bucket)
    for bucket in (sluice.bucket, rattler.bucket):
        bench.cloud.put_all(bucket, objects)
    return sluice, rattler


def _read_published(cloud: Cloud, bucket: str) -> dict[str, bytes]:
    """Read the index files, by filename."""
    s3 = cloud.s3()
    return {
        name: s3.get_object(Bucket=bucket, Key=f"{CHANNEL}/{SUBDIR}/{name}")["Body"].read()
        for name in (REPODATA, "repodata.json.zst", "repodata_shards.msgpack.zst")
    }
