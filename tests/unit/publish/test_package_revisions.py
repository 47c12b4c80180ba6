"""A channel that keeps out what needs revision 3 of repodata (CEP 48), and what it is warned of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgpack
import pytest

from sluice.catalog.node import RenderedNode, render_node
from sluice.layout import REPODATA, SHARD_INDEX, SLUICE_TOML, Subdir
from sluice.zstd import content_size
from testkit.channel import Package, conda
from testkit.system import System
from tests.support.staging_records import A2, NOARCH, START_MS, A, B
from tests.support.subdir_world import World, foreign_repodata, unzstd
from tests.unit.channel_files.channel_system import entry

SUBDIR = Subdir("team", "linux-64")
LEGACY = '[sluice]\npackage-revisions = "legacy"\n'
LATEST = '[index-config]\nrepodata-revisions = ["v3"]\npackage-revision-assignment = "latest"\n'
INDEX: Mapping[str, Any] = {
    "name": "old",
    "version": "1.0",
    "build": "0",
    "build_number": 0,
    "subdir": SUBDIR.name,
}
OLD = conda(INDEX)
NEW = [
    conda({**INDEX, "name": "flagged", "flags": ["cuda"]}),
    conda({**INDEX, "name": "when", "depends": ['old[when="python <3"]']}),
    conda({**INDEX, "name": "extras", "extra_depends": {"test": ["old"]}}),
    conda({**INDEX, "name": "asking", "repodata_revision": 3}),
    conda({**INDEX, "name": "schema", "schema_version": 3}),
]


def upload(system: System, *packages: Package) -> None:
    for package in packages:
        key = f"{SUBDIR.channel}/{package.path}"
        system.upload({key: package.body})
        system.notify(key)
    system.run_until_idle()


def configure(system: System, text: str) -> None:
    key = f"{SUBDIR.channel}/{SLUICE_TOML}"
    system.upload({key: text.encode()})
    system.notify(key)
    system.run_until_idle()


def published(system: System, subdir: Subdir = SUBDIR) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``repodata.json`` and the shard index say."""
    shards = msgpack.unpackb(unzstd(system.body(subdir, SHARD_INDEX)))
    return json.loads(system.body(subdir, REPODATA)), shards


def document(system: System) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(system.state.body(SUBDIR.rejects_key))
    return read


@pytest.mark.parametrize("more", ["", LATEST])
def test_packages_of_revision_3_are_rejected_and_no_file_mentions_it(more: str) -> None:
    system = System(START_MS)
    configure(system, more + LEGACY)
    upload(system, OLD, *NEW)
    repodata, shards = published(system)
    assert list(repodata["packages.conda"]) == [OLD.filename]
    assert list(shards["shards"]) == ["old"]
    for subdir in (SUBDIR, Subdir(SUBDIR.channel, "noarch")):
        repodata, shards = published(system, subdir)
        assert "v3" not in repodata
        assert "repodata_revisions" not in repodata["info"]
        assert "repodata_revisions" not in shards["info"]
    told = document(system)
    assert {reject["filename"] for reject in told["rejects"]} == {one.filename for one in NEW}
    assert {reject["code"] for reject in told["rejects"]} == {"repodata-revision-not-allowed"}
    assert told["omitted"] == {"rejects": 0, "warnings": 0}
    assert told["warnings"] == []


def test_the_switch_hides_and_shows_what_is_there() -> None:
    system = System(START_MS)
    upload(system, OLD, *NEW)
    before = published(system)[0]
    assert len(before["v3"]["conda"]) == len(NEW)
    assert before["info"]["repodata_revisions"]["v3"]["n_packages"] == len(NEW)
    configure(system, LEGACY)
    assert "v3" not in published(system)[0]
    assert len(document(system)["rejects"]) == len(NEW)
    configure(system, "")
    assert published(system)[0]["v3"] == before["v3"]
    assert document(system)["rejects"] == []


def test_records_of_an_index_that_was_taken_over_are_hidden_too() -> None:
    world = World()
    configured = f"{world.subdir.channel}/{SLUICE_TOML}"
    world.channel.upload(configured, LEGACY.encode())
    world.index_as_others_do(A, A2)
    index = json.loads(world.body())
    index["v3"] = {
        "conda": {A.removesuffix(".conda"): index["packages.conda"].pop(A)},
        "whl": {"wheel-1.0-py3": {"name": "wheel", "url": "https://pypi.example/wheel.whl"}},
    }
    index["info"]["repodata_revisions"] = {"v3": {"n_packages": 2}}
    world.channel.upload(world.subdir.file_key(REPODATA), json.dumps(index).encode())
    world.add(B)
    world.merge()
    ours = json.loads(world.body())
    assert {*ours["packages"], *ours["packages.conda"]} == {A2, B}
    assert "v3" not in ours
    assert "repodata_revisions" not in ours["info"]
    hidden = {reject["filename"] for reject in world.rejects()}
    assert hidden == {A, "wheel-1.0-py3.whl"}


def test_an_empty_subdir_does_not_mention_revision_3_only_because_another_tool_did() -> None:
    world = World()
    index = foreign_repodata({}, subdir="linux-64")
    index |= {"v3": {}, "info": {"repodata_revisions": {"v3": {"n_packages": 0}}}}
    world.channel.upload(world.subdir.file_key(REPODATA), json.dumps(index).encode())
    world.merge(create=True)
    for name in (REPODATA, None):
        body = world.body(name) if name else unzstd(world.body(SHARD_INDEX))
        info = (json.loads if name else msgpack.unpackb)(body)["info"]
        assert "repodata_revisions" not in info
    assert "v3" not in json.loads(world.body())
    world.add(B)
    world.merge()
    revisions = json.loads(world.body())["info"]["repodata_revisions"]
    assert revisions == {"v3": {"n_packages": 0}}


def test_a_channel_mentions_revision_3_where_it_is_and_nowhere_else() -> None:
    system = System(START_MS)
    upload(system, OLD, NEW[0])
    assert published(system)[0]["info"]["repodata_revisions"]["v3"]["n_packages"] == 1
    for info in (one["info"] for one in published(system, Subdir(SUBDIR.channel, "noarch"))):
        assert "repodata_revisions" not in info
    key = f"{SUBDIR.channel}/{NEW[0].path}"
    system.remove(key)
    system.notify(key)
    system.run_until_idle()
    for info in (one["info"] for one in published(system)):
        assert "repodata_revisions" not in info


# --- sluice.toml ----------------------------------------------------------------------------------


def test_detectors_stand_in_info_of_every_index() -> None:
    system = System(START_MS)
    detectors = {"z-detect": ["__team_b", "__team_a"], "a-detect": ["__team_c"]}
    lines = "".join(f"{name} = {json.dumps(names)}\n" for name, names in detectors.items())
    configure(system, f"[index-config.virtual-package-detectors]\n{lines}")
    upload(system, OLD)
    for subdir in (SUBDIR, Subdir(SUBDIR.channel, "noarch")):
        repodata, shards = published(system, subdir)
        assert repodata["info"]["virtual_package_detectors"] == detectors
        assert shards["info"]["virtual_package_detectors"] == detectors
    configure(system, "")
    assert "virtual_package_detectors" not in published(system)[0]["info"]


def test_a_key_of_tomorrow_is_warned_of_while_the_rest_is_in_force() -> None:
    world = World(subdir=NOARCH)
    world.add(A)
    world.configure("[index-config]\nsign-repodata = true\nwrite-zst = false\n")
    world.merge()
    told = json.loads(world.state.body(world.subdir.rejects_key))
    (warning,) = told["warnings"]
    assert (warning["filename"], warning["code"]) == (SLUICE_TOML, "config-key-unknown")
    assert "'sign-repodata'" in warning["sentence"]
    assert (told["rejects"], told["problems"]) == ([], [])
    first = warning["at"]
    assert world.tree().inputs
    assert f"{REPODATA}.zst" not in world.index_files()
    world.tick(100)
    world.configure("[index-config]\nsign-repodata = true\n")
    world.merge()
    (warning,) = json.loads(world.state.body(world.subdir.rejects_key))["warnings"]
    assert warning["identity"]["modified"] * 1000 > first
    world.configure(None)
    world.merge()
    assert json.loads(world.state.body(world.subdir.rejects_key))["warnings"] == []


# --- large shards ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "warned"), [(0, False), (1, True)])
def test_the_largest_shard_that_conda_reads_is_not_warned_of(*, more: int, warned: bool) -> None:
    conda_reads = 2**20 * 16  # ZSTD_MAX_SHARD_SIZE of conda 26.7.1
    name = "alpha-1.0-0.conda"

    def render(padding: int) -> RenderedNode:
        return render_node(
            "alpha", {name: entry(name, indexed_timestamp=1, license="x" * padding)}, at=1
        )

    shard = render(conda_reads // 2).shard_body
    assert shard
    rendered = render(conda_reads + conda_reads // 2 - content_size(shard) + more)
    assert rendered.shard_body
    assert content_size(rendered.shard_body) == conda_reads + more
    assert bool(rendered.node.extras and rendered.node.extras.shard_bytes) is warned


def test_a_shard_that_conda_refuses_is_warned_of_where_shards_are_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sluice.catalog.node.SHARD_BYTES_WARNED", 1000)
    world = World()
    for number in range(6):
        world.add(f"alpha-{number}.0-0.conda")
    world.add(B)
    world.merge()
    told = json.loads(world.state.body(world.subdir.rejects_key))
    (warning,) = told["warnings"]
    assert warning["code"] == "shard-too-large"
    assert "alpha" in warning["sentence"]
    assert warning["filename"].startswith("shards/")
    assert world.channel.body(world.subdir.file_key(warning["filename"]))
    assert (told["rejects"], told["omitted"]) == ([], {"rejects": 0, "warnings": 0})
    world.configure("[index-config]\nwrite-shards = false\n")
    world.merge()
    assert json.loads(world.state.body(world.subdir.rejects_key))["warnings"] == []
    world.configure(None)
    for number in range(5):
        world.drop(f"alpha-{number}.0-0.conda")
    world.merge()
    assert json.loads(world.state.body(world.subdir.rejects_key))["warnings"] == []


def test_of_shards_of_usual_size_nothing_is_said() -> None:
    world = World()
    world.add(A)
    world.merge()
    assert world.tree().names["alpha"].extras is None
