"""A look at a subdir in which everything is in order."""

from __future__ import annotations

from benchmarks.cases import Case, Sample
from benchmarks.channel import SUBDIR
from benchmarks.stage import TYPICAL_LATENCY_MS, Samples, Stage
from benchmarks.subjects import CHANNEL
from benchmarks.work import Work

_REQUEST = {"channel": CHANNEL, "subdir": SUBDIR}
_OF_ANY_RUN = frozenset({"subdirs", "objects"})


def reconcile(stage: Stage, runs: int) -> Samples:
    """Let the function look at what has been imported; a first look does not count."""
    case = Case("reconcile", stage.size, TYPICAL_LATENCY_MS, stage.sluice.name, "cold")
    for number in range(runs + 1):
        sample = _look(stage, case)
        stage.bench.say(f"{case}: {sample.wall_s:.2f} s")
        if number:
            yield case, sample


def _look(stage: Stage, case: Case) -> Sample:
    cloud = stage.bench.cloud
    with stage.sluice.function("reconcile") as function:
        cloud.take(latency_ms=case.latency_ms)
        usage = function.run(_REQUEST)
        requests = cloud.take().counts
    counts = usage.answer["counts"]
    if usage.answer["finished_at"] is None or counts["objects"] != stage.size:
        raise RuntimeError(f"reconcile did not look at everything: {usage.answer}")
    if any(count for name, count in counts.items() if name not in _OF_ANY_RUN):
        raise RuntimeError(f"reconcile found something to do: {counts}")
    return Sample(
        works={"reconcile": Work.of([usage])}, init_s=function.imports.wall_s, requests=requests
    )
