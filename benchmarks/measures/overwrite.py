"""Other content under a filename that is there."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.stage import Plan, Samples, Stage

_LATENCY_MS = 0.0
"""rattler-index reads every package, and waits for each: hours, where there are many."""


def measure(stage: Stage, plan: Plan) -> Samples:
    """Measure it; rattler-index keeps the old record unless it is told to read everything."""
    yield from stage.repeat(
        "overwrite",
        stage.changes.overwrite,
        runs=plan.runs,
        latency_ms=_LATENCY_MS,
        subjects=(stage.sluice, replace(stage.rattler, force=True)),
    )
