"""Where measurements take place: a channel of one size, the same in the buckets of both subjects.

Every session begins with the very same objects: what a measurement leaves behind is put back to
what it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from benchmarks import initial
from benchmarks.cases import Case, Sample
from benchmarks.changes import Change, Changes
from benchmarks.channel import SUBDIR, MadeUpChannel
from benchmarks.emulator import Cloud
from benchmarks.published import INDEX_FILES, check
from benchmarks.subjects import (
    CHANNEL,
    RattlerIndex,
    Session,
    Sluice,
    SluiceIndex,
    Subject,
    Temperature,
)

UPLOAD_LATENCIES_MS = (15.0, 0.0)
TYPICAL_LATENCY_MS = 15.0
"""About what S3 takes inside its region."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all sizes share."""

    cloud: Cloud
    scratch: Path
    """A folder."""
    log: IO[bytes]
    """For what the subjects print."""
    say: Callable[[str], None]
    """For progress."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how much."""

    runs: int
    import_max: int
    """Packages of a channel that is imported whole, at most."""


Samples = Iterator[tuple[Case, Sample]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A channel of one size, and its subjects."""

    bench: Bench
    size: int
    changes: Changes
    sluice: Sluice
    rattler: RattlerIndex
    by_hand: SluiceIndex
    """``sluice index``: in buckets of its own, which only ``index`` makes and drops."""

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Both."""
        return self.sluice, self.rattler

    @property
    def loaded(self) -> str:
        """The bucket that holds the channel as it was made."""
        return f"channel-{self.size}"

    def keep(self, subject: Subject) -> None:
        """Remember what the subject's buckets hold."""
        for bucket in subject.buckets:
            self.bench.cloud.s3.copy(bucket, f"{bucket}-before")

    def reset(self, subject: Subject) -> None:
        """Put back what was remembered."""
        for bucket in subject.buckets:
            self.bench.cloud.s3.copy(f"{bucket}-before", bucket)

    def make(self, subject: Subject, change: Change) -> None:
        """Let a change happen to the subject's channel, as somebody else would."""
        s3 = self.bench.cloud.s3
        s3.load(
            [subject.bucket], ((f"{CHANNEL}/{path}", body) for path, body in change.put.items())
        )
        s3.delete(subject.bucket, (f"{CHANNEL}/{path}" for path in change.removed))

    def measure(self, case: Case, subject: Subject, session: Session, change: Change) -> Sample:
        """Make a change, index it and look whether the index holds it."""
        cloud = self.bench.cloud
        self.make(subject, change)
        cloud.take(latency_ms=case.latency_ms)
        indexed = session.index(change)
        taken = cloud.take()
        folder = f"{CHANNEL}/{SUBDIR}"
        sizes = check(
            lambda name: cloud.s3.read(subject.bucket, f"{folder}/{name}"), change.expected
        )
        written = {name: taken.written[f"{subject.bucket}/{folder}/{name}"] for name in INDEX_FILES}
        self.bench.say(f"{case}: {indexed.wall_s:.2f} s")
        return Sample(
            works=indexed.works,
            init_s=session.init_s,
            requests=taken.counts,
            published=sizes,
            visible_s={name: at - indexed.started for name, at in written.items()},
            facts=change.facts,
        )

    def repeat(
        self,
        operation: str,
        change: Callable[[int], Change],
        *,
        runs: int,
        latency_ms: float = TYPICAL_LATENCY_MS,
        subjects: Sequence[Subject] = (),
        temperatures: Sequence[Temperature] = ("cold",),
    ) -> Samples:
        """Measure a change for each subject in turn, each session from the same beginning."""
        case = Case(operation, self.size, latency_ms, "", "")
        for number in range(runs):
            for subject in subjects or self.subjects:
                self.reset(subject)
                with subject.session() as session:
                    for nth, temperature in enumerate(temperatures):
                        if temperature in subject.temperatures:
                            of = replace(case, subject=subject.name, temperature=temperature)
                            made = change(1 + number * len(temperatures) + nth)
                            yield of, self.measure(of, subject, session, made)


@contextmanager
def stage(bench: Bench, size: int) -> Iterator[Stage]:
    """Make the channel, in a bucket of its own; both subjects' buckets are still empty."""
    s3 = bench.cloud.s3
    channel = MadeUpChannel(size)
    prepared = Stage(
        bench,
        size,
        Changes(channel),
        Sluice(bench.cloud, f"sluice-{size}", bench.log),
        RattlerIndex(bench.cloud, f"rattler-index-{size}", bench.log),
        SluiceIndex(bench.cloud, f"sluice-index-{size}", bench.log),
    )
    objects = ((f"{CHANNEL}/{path}", body) for path, body in initial.objects(channel))
    s3.load([prepared.loaded], objects)
    bench.say(f"{size:,} packages are made")
    for subject in prepared.subjects:
        for bucket in subject.buckets:
            s3.create(bucket)
        s3.copy(prepared.loaded, subject.bucket)
    yield prepared
    for bucket in (name for subject in prepared.subjects for name in subject.buckets):
        s3.drop(bucket)
        s3.drop(f"{bucket}-before")
    s3.drop(prepared.loaded)
