"""Another version of the package that patches a channel's metadata."""

from __future__ import annotations

from benchmarks.cases import Case
from benchmarks.changes import patches_in_force
from benchmarks.stage import TYPICAL_LATENCY_MS, Plan, Samples, Stage


def measure(stage: Stage, plan: Plan) -> Samples:
    """Measure it for sluice, where a first version is in force already."""
    case = Case("patch", stage.size, TYPICAL_LATENCY_MS, stage.sluice.name, "warm")
    for number in range(plan.runs):
        stage.reset(stage.sluice)
        with stage.sluice.session() as session:
            for change in (patches_in_force(), stage.changes.patch(1)):
                stage.make(stage.sluice, change)
                session.index(change)
            second = stage.changes.patch(2 + number)
            yield case, stage.measure(case, stage.sluice, session, second)
