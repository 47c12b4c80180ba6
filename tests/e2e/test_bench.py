"""Everything that `make bench` measures can be measured: on a small channel, once."""

from __future__ import annotations

from pathlib import Path

from benchmarks.emulator import cloud
from benchmarks.measures import MEASURES
from benchmarks.stage import Bench, stage

PACKAGES = 60
MEASURED = [name for name in MEASURES if name != "burst"]  # takes a while, and does nothing else


def test_every_operation_is_measured_for_whoever_can_do_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, cloud(tmp_path) as aws:
        bench = Bench(aws, tmp_path, log, say=print)
        with stage(bench, PACKAGES, runs=1) as prepared:
            samples = [found for name in MEASURED for found in MEASURES[name](prepared)]
    by_operation: dict[str, set[str]] = {}
    for case, sample in samples:
        by_operation.setdefault(case.operation, set()).add(case.who)
        if case.operation not in {"import", "reconcile"}:
            assert sample.s3.requests > 0
            assert list(sample.visible_s) == list(sample.published)
    imported = by_operation.pop("import")
    assert {"sluice, cold", "rattler-index"} <= imported
    assert by_operation == {
        "take-over": {"sluice, cold", "rattler-index"},
        "upload": {"sluice, cold", "sluice, warm", "rattler-index"},
        "overwrite": {"sluice, cold", "rattler-index --force"},
        "removal": {"sluice, cold", "rattler-index"},
        "patch": {"sluice, warm"},
        "reconcile": {"sluice, cold"},
        "index-first": {"sluice index", "rattler-index"},
        "index-one-more": {"sluice index", "rattler-index"},
    }
