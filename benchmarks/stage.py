"""Where measurements take place: a channel of one size, the same in the buckets of all subjects.

Every session begins with the very same objects: what a measurement leaves behind is put back to
what it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from benchmarks import subjects
from benchmarks.cases import TYPICAL_LATENCY_MS, Case, Sample
from benchmarks.channel import Change, Changes, files
from benchmarks.emulator import Cloud
from benchmarks.processes import Say
from benchmarks.published import INDEX_FILES, check
from benchmarks.subjects import CHANNEL, Session, Sluice, Subject, Temperature, Tool
from testkit.made_up import SUBDIR

Measurements = Iterator[tuple[Case, Sample]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What all sizes share."""

    cloud: Cloud
    scratch: Path
    """A folder."""
    log: IO[bytes]
    """For what the subjects print."""
    say: Say


@dataclass(frozen=True, slots=True)
class Stage:
    """A channel of one size, and its subjects."""

    bench: Bench
    size: int
    runs: int
    """How often each case is measured."""
    changes: Changes
    sluice: Sluice
    rattler: Tool
    by_hand: Tool
    """``sluice index``: in buckets that only ``index`` makes and drops."""

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The two of most measurements: the functions, and rattler-index."""
        return self.sluice, self.rattler

    def keep(self, subject: Subject) -> None:
        """Remember what the subject's buckets hold."""
        for bucket in subject.buckets:
            self.bench.cloud.s3.copy(bucket, f"{bucket}-before")

    def reset(self, subject: Subject) -> None:
        """Put back what was remembered."""
        for bucket in subject.buckets:
            self.bench.cloud.s3.copy(f"{bucket}-before", bucket)

    def clear(self, subject: Subject) -> None:
        """Leave the subject with empty buckets."""
        for bucket in subject.buckets:
            self.bench.cloud.s3.drop(bucket)
            self.bench.cloud.s3.create(bucket)

    def drop(self, subject: Subject) -> None:
        """Forget the subject's buckets, and what they held."""
        for bucket in subject.buckets:
            self.bench.cloud.s3.drop(bucket)
            self.bench.cloud.s3.drop(f"{bucket}-before")

    def make(self, subject: Subject, change: Change) -> None:
        """Let a change happen to the subject's channel, as somebody else would."""
        s3 = self.bench.cloud.s3
        put = ((f"{CHANNEL}/{path}", body) for path, body in change.put.items())
        s3.load([subject.bucket], put)
        s3.delete(subject.bucket, (f"{CHANNEL}/{path}" for path in change.removed))

    def measure(self, case: Case, subject: Subject, session: Session, change: Change) -> Sample:
        """Make a change, index it and look whether the index holds it."""
        cloud, folder = self.bench.cloud, f"{CHANNEL}/{SUBDIR}"
        self.make(subject, change)
        cloud.take(latency_ms=case.latency_ms)
        indexed = session.index(change)
        taken = cloud.take()
        sizes = check(
            lambda name: cloud.s3.read(subject.bucket, f"{folder}/{name}"), change.expected
        )
        written = {name: taken.written[f"{subject.bucket}/{folder}/{name}"] for name in INDEX_FILES}
        sample = Sample(
            works=indexed.works,
            init_s=session.init_s,
            requests=taken.counts,
            published=sizes,
            visible_s={name: at - indexed.started for name, at in written.items()},
            facts=change.facts,
            after_s=indexed.seconds_after(max(written.values())),
        )
        self.bench.say(f"{case}: {sample.wall_s:.2f} s")
        return sample

    def import_all(self, operation: str, subject: Subject, latency_ms: float) -> Measurements:
        """Measure every package of the channel in an empty bucket."""
        case = Case(operation, self.size, latency_ms, subject.name, "cold")
        self.clear(subject)
        with subject.session() as session:
            yield case, self.measure(case, subject, session, self.changes.everything())

    def repeat(
        self,
        operation: str,
        change: Callable[[int], Change],
        *,
        latency_ms: float = TYPICAL_LATENCY_MS,
        of: Sequence[Subject] = (),
        temperatures: Sequence[Temperature] = ("cold",),
    ) -> Measurements:
        """Measure a change for each subject in turn, each session from the same beginning."""
        case = Case(operation, self.size, latency_ms, "", "")
        for number in range(self.runs):
            for subject in of or self.subjects:
                self.reset(subject)
                with subject.session() as session:
                    for nth, temperature in enumerate(temperatures):
                        if temperature in subject.temperatures:
                            own = replace(case, subject=subject.name, temperature=temperature)
                            made = change(1 + number * len(temperatures) + nth)
                            yield own, self.measure(own, subject, session, made)


@contextmanager
def stage(bench: Bench, size: int, runs: int) -> Iterator[Stage]:
    """Make the channel, in a bucket of its own, and copy it into both subjects' buckets."""
    s3, made = bench.cloud.s3, f"channel-{size}"
    prepared = Stage(
        bench,
        size,
        runs,
        Changes(size),
        Sluice(bench.cloud, f"sluice-{size}", bench.log),
        subjects.rattler_index(bench.cloud, f"rattler-index-{size}", bench.log),
        subjects.sluice_index(bench.cloud, f"sluice-index-{size}", bench.log),
    )
    s3.load([made], ((f"{CHANNEL}/{path}", body) for path, body in files(size)))
    bench.say(f"{size:,} packages are made")
    for subject in prepared.subjects:
        prepared.clear(subject)
        s3.copy(made, subject.bucket)
    yield prepared
    for subject in prepared.subjects:
        prepared.drop(subject)
    s3.drop(made)
