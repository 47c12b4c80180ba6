"""The first run over a channel that somebody else has indexed: what all others begin with."""

from __future__ import annotations

from benchmarks.cases import Case
from benchmarks.stage import Plan, Samples, Stage

_LATENCY_MS = 0.0


def measure(stage: Stage, _plan: Plan) -> Samples:
    """Let each subject index one upload, once, and remember what its buckets hold then.

    sluice takes over every record and makes its catalog; rattler-index writes every shard.
    """
    for subject in stage.subjects:
        case = Case("take-over", stage.size, _LATENCY_MS, subject.name, "cold")
        with subject.session() as session:
            sample = stage.measure(case, subject, session, stage.changes.upload(0))
        stage.keep(subject)
        yield case, sample
