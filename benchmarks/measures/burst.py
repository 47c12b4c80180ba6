"""A thousand small packages at once."""

from __future__ import annotations

from benchmarks.stage import Plan, Samples, Stage

_LATENCY_MS = 0.0
"""A thousand invocations, one after the other, would mostly wait."""


def measure(stage: Stage, plan: Plan) -> Samples:
    """Measure it: one extract after the other, then every merge that was asked for."""
    yield from stage.repeat("burst", stage.changes.burst, runs=plan.runs, latency_ms=_LATENCY_MS)
