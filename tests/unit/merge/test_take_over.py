"""An index with everything of CEP 48, 21 and patches in it, taken over by the first merge."""

from __future__ import annotations

import json
from typing import Any

import msgpack

from sluice.layout import FROM_PACKAGES, REPODATA, SHARD_INDEX
from tests.support.staging_records import A2, A, B, C, record_of
from tests.support.subdir_world import World, foreign_repodata, unzstd

WHEEL: dict[str, Any] = {
    "name": "alpha",
    "sha256": "ab" * 32,
    "url": "https://pypi.example/alpha-1.0-py3-none-any.whl",
}


def index(world: World, *filenames: str, **more: Any) -> dict[str, Any]:
    """What another tool says of packages that are there, with their dates."""
    records = {}
    for filename in filenames:
        date = world.upload(filename, filename.encode()).modified * 1000
        records[filename] = {**record_of(filename, filename.encode()), "indexed_timestamp": date}
    return {**foreign_repodata(records, subdir=world.subdir.name), **more}


def put(world: World, file: str, content: dict[str, Any]) -> None:
    """Have another tool's file there."""
    world.channel.upload(world.subdir.file_key(file), json.dumps(content).encode())


def shard(world: World, name: str) -> dict[str, Any]:
    """A published shard."""
    digests = msgpack.unpackb(unzstd(world.body(SHARD_INDEX)))["shards"]
    body = world.channel.body(world.subdir.shard_key(digests[name].hex()))
    found: dict[str, Any] = msgpack.unpackb(unzstd(body))
    return found


def in_v3(repodata: dict[str, Any], filename: str) -> dict[str, Any]:
    """The index with a package moved to revision 3."""
    archive = "conda" if filename.endswith(".conda") else "tar.bz2"
    legacy = repodata["packages.conda" if archive == "conda" else "packages"]
    bucket = repodata.setdefault("v3", {}).setdefault(archive, {})
    bucket[filename.removesuffix(f".{archive}")] = legacy.pop(filename)
    return repodata


def test_revision_3_is_published_on_as_it_was_beside_what_is_new() -> None:
    world = World()
    theirs = in_v3(in_v3(index(world, A, A2, B), A), A2)
    theirs["v3"]["conda"]["alpha-1.0-0"]["flags"] = ["cuda"]
    theirs["v3"]["whl"] = {"alpha-1.0-py3-none-any": WHEEL}
    theirs["v3"]["zip"] = {"other": {"size": 1}}
    put(world, REPODATA, theirs)
    world.add(C)
    report = world.merge()
    ours = json.loads(world.body())
    assert ours["v3"] == theirs["v3"]
    assert list(ours["packages.conda"]) == [B, C]
    assert (report.taken_over, report.left_out) == (5, 0)
    assert shard(world, "alpha")["v3"]["whl"] == {
        "alpha-1.0-py3-none-any": {**WHEEL, "sha256": b"\xab" * 32}
    }


def test_what_was_kept_of_other_buckets_stays_when_the_packages_are_read_and_change() -> None:
    world = World()
    put(world, REPODATA, index(world, A, v3={"whl": {"alpha-1.0-py3-none-any": WHEEL}}))
    world.add(A)
    world.merge()
    world.drop(A)
    world.merge()
    ours = json.loads(world.body())
    assert ours["packages.conda"] == {}
    assert ours["v3"] == {"whl": {"alpha-1.0-py3-none-any": WHEEL}}


def test_run_exports_in_shards_are_published_on_in_shards() -> None:
    world = World()
    theirs = index(world, A)
    theirs["packages.conda"][A]["run_exports"] = {"weak": ["alpha >=1"]}
    put(world, REPODATA, theirs)
    world.add(C)
    world.merge()
    assert shard(world, "alpha")["packages.conda"][A]["run_exports"] == {"weak": ["alpha >=1"]}
    assert "run_exports" not in json.loads(world.body())["packages.conda"][A]


def test_an_index_that_is_patched_is_taken_over_unpatched_only_where_its_patch_is_configured() -> (
    None
):
    """Else what the patch did stays, until reconcile has read the packages."""
    world = World()
    theirs = index(world, A, B)
    put(world, FROM_PACKAGES, theirs)
    published = json.loads(json.dumps(theirs))
    published["packages.conda"][A]["depends"] = ["patched"]
    put(world, REPODATA, published)
    world.add(C)
    world.merge()
    assert world.published()[A]["depends"] == ["patched"]
