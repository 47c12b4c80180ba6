"""A bucket full of packages that nobody has indexed; and a look at it when all is done."""

from __future__ import annotations

from benchmarks.cases import Case, Sample
from benchmarks.measures import conda_index
from benchmarks.measures.reconcile import reconcile
from benchmarks.stage import Plan, Samples, Stage
from benchmarks.subjects import Subject

_LATENCY_MS = 0.0


def measure(stage: Stage, plan: Plan) -> Samples:
    """Have every package read, once; then reconcile, which from then on has nothing to do."""
    if stage.size > plan.import_max:
        stage.bench.say(f"not imported, and not reconciled: {stage.size:,} packages")
        return
    for subject in stage.subjects:
        yield _import(stage, subject)
    yield from conda_index.measure(stage)
    yield from reconcile(stage, plan.runs)


def _import(stage: Stage, subject: Subject) -> tuple[Case, Sample]:
    case = Case("import", stage.size, _LATENCY_MS, subject.name, "cold")
    s3 = stage.bench.cloud.s3
    for bucket in subject.buckets:
        s3.drop(bucket)
        s3.create(bucket)
    with subject.session() as session:
        return case, stage.measure(case, subject, session, stage.changes.everything())
