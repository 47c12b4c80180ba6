"""Records of an index that was taken over may be of any form, and stop nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.conda.names import NOARCH
from sluice.layout import REPODATA, SLUICE_TOML, Subdir
from tests.support.reconcile_runs import ReconcileRuns
from tests.support.staging_records import A, B, record_of
from tests.support.subdir_world import World, foreign_repodata

PLACE = Subdir("team", NOARCH)
NEWER = "alpha-2.0-0.conda"
MISSING = object()
ODD = [
    {"version": MISSING},
    {"version": 5},
    {"version": "9" * 5000},
    {"build_number": MISSING},
    {"build_number": "0"},
    {"timestamp": "then"},
    {"depends": None},
    {"depends": [5, "python >=3"], "extra_depends": {"gpu": 1}},
    {"license": 5, "summary": ["x"], "build": 0},
]


@pytest.mark.parametrize("change", ODD, ids=",".join)
def test_an_odd_record_stops_no_merge_and_no_reconcile(change: dict[str, Any]) -> None:
    world = World(subdir=PLACE)
    dated = world.upload(A, b"x").modified * 1000
    record = {**record_of(A, b"x", subdir=NOARCH), "indexed_timestamp": dated, **change}
    record = {key: value for key, value in record.items() if value is not MISSING}
    index = foreign_repodata({A: record}, subdir=NOARCH)
    world.channel.upload(PLACE.file_key(REPODATA), json.dumps(index).encode())
    settings = 'channeldata = true\nrss = true\ncurrent-repodata = true\npatches = "alpha"\n'
    world.channel.upload(f"{PLACE.channel}/{SLUICE_TOML}", f"[sluice]\n{settings}".encode())
    for filename in (B, NEWER):
        world.add(filename)
        world.merge()
        world.tick(20)
    assert ReconcileRuns(world).run().counts.failed == 0
    world.deliver()
    assert world.staged() == []
    assert {B, NEWER} <= world.published().keys()
