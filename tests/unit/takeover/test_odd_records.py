"""Records of an index that was taken over may be of any form, and stop nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.conda.names import NOARCH
from sluice.layout import REPODATA, SLUICE_TOML, Subdir
from testkit.channel import conda
from testkit.system import System
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


# --- from the take-over until the package was read ------------------------------------------------

CHANNEL_SUBDIR = Subdir("team", "linux-64")
INDEX: dict[str, Any] = {
    "name": "alpha",
    "version": "1.0",
    "build": "0",
    "build_number": 0,
    "depends": [],
    "subdir": "linux-64",
}


def taken_over(change: dict[str, Any], of_package: dict[str, Any]) -> System:
    """An index with an odd record of a package, which says something else, taken over."""
    system = System(1_750_000_000_000)
    package, other = conda({**INDEX, **of_package}), conda({**INDEX, "name": "beta"})
    system.upload({f"team/{one.path}": one.body for one in (package, other)})
    size = len(package.body)
    index = foreign_repodata({A: {**INDEX, "size": size, **change}}, subdir="linux-64")
    system.upload({CHANNEL_SUBDIR.file_key(REPODATA): json.dumps(index).encode()})
    system.notify(f"team/{other.path}")
    system.run_until_idle()
    return system


def issues(system: System) -> list[tuple[str, str, str]]:
    """The kind, code and file of what the document lists."""
    document = json.loads(system.state.body(CHANNEL_SUBDIR.rejects_key))
    return [
        (kind, issue["code"], issue["filename"])
        for kind in ("rejects", "warnings")
        for issue in document[kind]
    ]


def published(system: System) -> dict[str, Any]:
    records: dict[str, Any] = json.loads(system.body(CHANNEL_SUBDIR, REPODATA))["packages.conda"]
    return records


def test_a_record_that_is_left_out_comes_back_from_its_package() -> None:
    system = taken_over({"version": ".post"}, {})
    assert issues(system) == [("warnings", "record-left-out", A)]
    assert A not in published(system)
    report = system.reconcile()
    assert report.counts.failed == 0
    assert issues(system) == []
    assert published(system)[A]["version"] == "1.0"


def test_a_record_that_is_left_out_stays_out_where_its_package_is_rejected_too() -> None:
    system = taken_over({"depends": 5}, {"depends": 5})
    assert issues(system) == [("warnings", "record-left-out", A)]
    system.reconcile()
    assert issues(system) == [("rejects", "index-json-wrong-type", A)]
    assert A not in published(system)


def test_a_record_that_was_put_right_is_replaced_by_that_of_its_package() -> None:
    system = taken_over({"timestamp": 1719972900.0, "license": ["MIT"]}, {"license": "MIT"})
    assert issues(system) == [("warnings", "record-normalized", A)]
    assert published(system)[A]["timestamp"] == 1719972900
    assert published(system)[A]["license"] == "MIT"
    system.reconcile()
    assert issues(system) == []
    assert "timestamp" not in published(system)[A]


def test_a_record_that_was_put_right_stays_where_its_package_breaks_a_rule_and_says_so() -> None:
    system = taken_over({"timestamp": 1719972900.0}, {"timestamp": 1719972900.0})
    system.reconcile()
    assert issues(system) == [
        ("warnings", "record-normalized", A),
        ("warnings", "record-kept", A),
    ]
    assert published(system)[A]["timestamp"] == 1719972900
    before = dict(system.state.objects)
    system.reconcile()
    assert issues(system)[1:] == [("warnings", "record-kept", A)]
    assert {key for key in system.state.objects.keys() - before.keys() if "leaves" in key} == set()
