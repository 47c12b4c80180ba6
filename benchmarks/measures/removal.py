"""One package that is deleted."""

from __future__ import annotations

from benchmarks.stage import Plan, Samples, Stage


def measure(stage: Stage, plan: Plan) -> Samples:
    """Measure it."""
    yield from stage.repeat("removal", stage.changes.removal, runs=plan.runs)
