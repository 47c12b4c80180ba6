"""``sluice index`` beside rattler-index: a bucket that nobody has indexed, then one package more.

Both run as people run them: one process that looks at the whole channel, and that nobody tells what
has changed.
"""

from __future__ import annotations

from benchmarks.cases import Case
from benchmarks.stage import TYPICAL_LATENCY_MS, Plan, Samples, Stage
from benchmarks.subjects import Subject

FIRST, ONE_MORE = "index-first", "index-one-more"
_LATENCIES_MS = (TYPICAL_LATENCY_MS, 0.0)


def measure(stage: Stage, plan: Plan) -> Samples:
    """Measure both in turn, each from the same beginning."""
    if stage.size > plan.import_max:
        stage.bench.say(f"not indexed by hand: {stage.size:,} packages")
        return
    subjects: tuple[Subject, ...] = (stage.by_hand, stage.rattler)
    for latency_ms in _LATENCIES_MS:
        for _ in range(plan.runs):
            for subject in subjects:
                yield from _first(stage, subject, latency_ms)
        for subject in subjects:
            stage.keep(subject)
        yield from stage.repeat(
            ONE_MORE,
            stage.changes.upload,
            runs=plan.runs,
            latency_ms=latency_ms,
            subjects=subjects,
        )
    for bucket in stage.by_hand.buckets:
        stage.bench.cloud.s3.drop(bucket)
        stage.bench.cloud.s3.drop(f"{bucket}-before")


def _first(stage: Stage, subject: Subject, latency_ms: float) -> Samples:
    case = Case(FIRST, stage.size, latency_ms, subject.name, "cold")
    s3 = stage.bench.cloud.s3
    for bucket in subject.buckets:
        s3.create(bucket)
        s3.drop(bucket)
        s3.create(bucket)
    with subject.session() as session:
        yield case, stage.measure(case, subject, session, stage.changes.everything())
