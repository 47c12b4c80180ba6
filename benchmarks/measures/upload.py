"""One new build of a name that is there."""

from __future__ import annotations

from benchmarks.stage import UPLOAD_LATENCIES_MS, Plan, Samples, Stage


def measure(stage: Stage, plan: Plan) -> Samples:
    """Measure it cold and warm, on an S3 that is near and on one that is as far as AWS's."""
    for latency_ms in UPLOAD_LATENCIES_MS:
        yield from stage.repeat(
            "upload",
            stage.changes.upload,
            runs=plan.runs,
            latency_ms=latency_ms,
            temperatures=("cold", "warm"),
        )
