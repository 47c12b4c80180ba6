"""Other content under a filename that is there."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.stage import Plan, Samples, Stage


def measure(stage: Stage, plan: Plan) -> Samples:
    """Measure it; rattler-index keeps the old record unless it is told to read everything."""
    yield from stage.repeat(
        "overwrite",
        stage.changes.overwrite,
        runs=plan.runs,
        subjects=(stage.sluice, replace(stage.rattler, force=True)),
    )
