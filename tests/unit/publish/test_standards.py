"""The files that a configuration and a patch ask for: which, in which order, at what cost."""

from __future__ import annotations

import bz2
import json
from typing import Any

import pytest

from sluice.catalog.reader import CatalogReader
from sluice.concurrency import in_order
from sluice.layout import (
    CURRENT_REPODATA,
    CURRENT_REPODATA_ZST,
    FROM_PACKAGES,
    FROM_PACKAGES_ZST,
    PATCH_INSTRUCTIONS,
    REPODATA,
    REPODATA_BZ2,
    REPODATA_ZST,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
    SHARD_INDEX,
)
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.publish.publication import PublishResult
from testkit.channel import patch_package
from tests.support.request_hooks import at_request
from tests.support.staging_records import A2, A, B
from tests.support.subdir_world import World, unzstd
from tests.unit.publish import patched_noarch
from tests.unit.publish.patched_noarch import (
    PATCHED,
    TEAM_NOARCH,
    patch_name,
    put_package,
    put_patch,
)

INSTRUCTIONS: dict[str, Any] = {
    "patch_instructions_version": 1,
    "packages": {A2: {"depends": ["patched"]}},
    "remove": [B],
}
EVERYTHING = f"{PATCHED}run-exports = true\nrepodata-bz2 = true\ncurrent-repodata = true\n"


class Death(Exception):
    """The function is killed."""


def world_with(config: str | None, *, patched: bool = True) -> World:
    """Three packages, and a patch unless not, under a configuration."""
    world = World(subdir=TEAM_NOARCH)
    put_package(world, A, run_exports={"weak": ["alpha"]}, extra_depends={"gpu": ["cuda"]})
    put_package(world, A2)
    put_package(world, B)
    if patched:
        put_patch(world, "1", INSTRUCTIONS)
    world.merge()
    if config is not None:
        world.configure(config)
        world.merge()
    return world


def puts(world: World) -> list[str]:
    """The index files that were written, in order."""
    written = [key for operation, key in world.channel.operations() if operation == "PutObject"]
    return [file for file in map(_file, written) if file in ALL_OUTPUTS]


def _file(key: str) -> str:
    return key.removeprefix(TEAM_NOARCH.prefix)


def read(world: World, file: str) -> Any:
    """A file as JSON."""
    return json.loads(world.body(file))


def publish(world: World) -> PublishResult:
    """Publish what the head says, with nothing remembered."""
    catalog = CatalogReader(world.state, TEAM_NOARCH, in_order)
    return world.merger.publisher.publish(TEAM_NOARCH, world.head(), catalog)


def cost_of_one_more(world: World, filename: str = "delta-1-0.conda") -> int:
    """How many requests a merge makes for one package of a new name."""
    put_package(world, filename)
    world.channel.requests.clear()
    world.state.requests.clear()
    world.merge()
    return len(world.channel.requests) + len(world.state.requests)


def there(world: World) -> list[str]:
    """The index files that are there, in the order in which they are written."""
    return [file for file in ALL_OUTPUTS if TEAM_NOARCH.file_key(file) in world.channel.objects]


def test_all_of_a_patched_channel_are_written_in_one_merge_after_what_clients_ask_for() -> None:
    world = world_with(None)
    world.configure(EVERYTHING)
    world.channel.requests.clear()
    world.merge()
    assert puts(world) == [
        SHARD_INDEX,
        REPODATA_ZST,
        REPODATA,
        REPODATA_BZ2,
        CURRENT_REPODATA,
        CURRENT_REPODATA_ZST,
        PATCH_INSTRUCTIONS,
        FROM_PACKAGES,
        FROM_PACKAGES_ZST,
        RUN_EXPORTS,
        RUN_EXPORTS_ZST,
    ]


def test_clients_see_what_the_patch_makes_of_packages_and_can_see_what_they_said() -> None:
    world = world_with(EVERYTHING)
    patched, unpatched = read(world, REPODATA), read(world, FROM_PACKAGES)
    assert patched["packages"][A2]["depends"] == ["patched"]
    assert unpatched["packages"][A2]["depends"] == []
    assert (patched["removed"], unpatched["removed"]) == ([B], [])
    assert patched["packages.conda"].keys() == {patch_name("1")}
    assert unpatched["packages.conda"].keys() == {B, patch_name("1")}
    assert read(world, PATCH_INSTRUCTIONS)["packages"] == INSTRUCTIONS["packages"]
    assert read(world, PATCH_INSTRUCTIONS)["remove"] == [B]
    exports = read(world, RUN_EXPORTS)
    assert {**exports["packages"], **exports["packages.conda"]} == {
        A: {"run_exports": {"weak": ["alpha"]}},
        A2: {"run_exports": {}},
        B: {"run_exports": {}},
        patch_name("1"): {"run_exports": {}},
    }


def test_compressed_forms_are_of_the_same_bytes_and_type() -> None:
    world = world_with(EVERYTHING)
    for file in (REPODATA, CURRENT_REPODATA, FROM_PACKAGES, RUN_EXPORTS):
        assert unzstd(world.body(f"{file}.zst")) == world.body(file)
    assert bz2.decompress(world.body(REPODATA_BZ2)) == world.body(REPODATA)
    kinds = {
        file: world.channel.objects[TEAM_NOARCH.file_key(file)].headers.content_type
        for file in there(world)
    }
    assert kinds[REPODATA_BZ2] == "application/x-bzip2"
    assert {kind for file, kind in kinds.items() if file.endswith(".zst")} == {"application/zstd"}
    assert {kind for file, kind in kinds.items() if file.endswith("n")} == {"application/json"}


def test_records_of_revision_3_are_counted_as_each_file_has_them() -> None:
    world = World(subdir=TEAM_NOARCH)
    put_package(world, A, extra_depends={"gpu": ["cuda"]})
    put_package(world, B, flags=["fast"])
    put_patch(world, "1", {"patch_instructions_version": 1, "remove": [B]})
    world.configure(PATCHED)
    world.merge()
    stems = [filename.removesuffix(".conda") for filename in (A, B)]
    for file, expected in ((REPODATA, stems[:1]), (FROM_PACKAGES, stems)):
        index = read(world, file)
        assert sorted(index["v3"]["conda"]) == expected
        times = [record["indexed_timestamp"] for record in index["v3"]["conda"].values()]
        assert index["info"]["repodata_revisions"] == {
            "v3": {"n_packages": len(expected), "oldest": min(times), "newest": max(times)}
        }


def test_an_ordinary_package_costs_three_requests_more_with_run_exports() -> None:
    plain = cost_of_one_more(world_with(None, patched=False))
    with_run_exports = world_with(patched_noarch.RUN_EXPORTS, patched=False)
    assert cost_of_one_more(with_run_exports) == plain + 3
    assert cost_of_one_more(with_run_exports, "epsilon-1-0.conda") == plain + 3


def test_an_ordinary_package_costs_three_requests_more_with_current_repodata() -> None:
    plain = cost_of_one_more(world_with(None))
    with_current = world_with("[sluice]\ncurrent-repodata = true\n")
    assert cost_of_one_more(with_current) == plain + 3


def test_an_ordinary_package_costs_four_requests_more_with_patches() -> None:
    plain = cost_of_one_more(world_with(None))
    assert cost_of_one_more(world_with(PATCHED)) == plain + 4


def test_instructions_are_written_again_only_with_another_patch() -> None:
    world = world_with(PATCHED)
    before = world.body(PATCH_INSTRUCTIONS)
    world.add("delta-1-0.conda")
    world.merge()
    assert world.body(PATCH_INSTRUCTIONS) == before
    put_patch(world, "2", {"patch_instructions_version": 1, "revoke": [A2]})
    world.channel.requests.clear()
    world.merge()
    assert puts(world).index(PATCH_INSTRUCTIONS) < puts(world).index(FROM_PACKAGES)
    assert read(world, PATCH_INSTRUCTIONS)["revoke"] == [A2]


def test_a_patch_that_says_nothing_of_a_subdir_has_empty_instructions_there() -> None:
    world = World(subdir=TEAM_NOARCH)
    put_package(world, A)
    package = patch_package("1", {"linux-64": INSTRUCTIONS})
    world.add(package.filename, package.body)
    world.configure(PATCHED)
    world.merge()
    told = read(world, PATCH_INSTRUCTIONS)
    assert told.pop("sluice").keys() == {"generation", "tree"}
    assert told == {
        "packages": {},
        "packages.conda": {},
        "patch_instructions_version": 1,
        "remove": [],
        "revoke": [],
        "v3": {},
    }


@pytest.mark.parametrize("file", ALL_OUTPUTS)
def test_a_file_that_was_deleted_is_put_back(file: str) -> None:
    world = world_with(EVERYTHING)
    before = world.body(file)
    world.channel.remove(TEAM_NOARCH.file_key(file))
    assert publish(world) == PublishResult(1, 0)
    assert world.body(file) == before
    assert publish(world) == PublishResult(0, 0)


@pytest.mark.parametrize("file", ALL_OUTPUTS)
def test_a_file_that_another_tool_overwrote_is_put_back_and_counted(file: str) -> None:
    world = world_with(EVERYTHING)
    before = world.body(file)
    world.channel.upload(TEAM_NOARCH.file_key(file), b"{}")
    assert publish(world) == PublishResult(1, 1)
    assert world.body(file) == before


@pytest.mark.parametrize("happens", ["deleted", "overwritten"])
def test_a_companion_that_is_not_as_it_was_remembered_is_looked_at(happens: str) -> None:
    world = world_with(patched_noarch.RUN_EXPORTS)
    key = TEAM_NOARCH.file_key(RUN_EXPORTS)
    if happens == "deleted":
        world.channel.remove(key)
    else:
        world.channel.upload(key, b"{}")
    put_package(world, "delta-1-0.conda", run_exports={"weak": ["delta"]})
    report = world.merge()
    assert report.foreign_overwritten == (happens == "overwritten")
    assert read(world, RUN_EXPORTS)["packages.conda"]["delta-1-0.conda"] == {
        "run_exports": {"weak": ["delta"]}
    }


def test_a_pair_is_left_to_a_newer_generation_that_arrives_in_between() -> None:
    world = world_with(patched_noarch.RUN_EXPORTS)
    put_package(world, "delta-1-0.conda")
    newer = dict(world.channel.objects[TEAM_NOARCH.file_key(RUN_EXPORTS)].info.metadata)
    newer["sluice-generation"] = "99"

    def overtake() -> None:
        world.channel.upload(TEAM_NOARCH.file_key(RUN_EXPORTS), b"newer", metadata=newer)

    compressed = world.body(RUN_EXPORTS_ZST)
    world.channel.before = at_request("PutObject", TEAM_NOARCH.file_key(RUN_EXPORTS), overtake)
    world.merge()
    assert (world.body(RUN_EXPORTS), world.body(RUN_EXPORTS_ZST)) == (b"newer", compressed)


def test_what_is_not_asked_for_any_more_is_deleted_and_another_tools_stays() -> None:
    world = world_with(EVERYTHING)
    assert there(world) == list(ALL_OUTPUTS)
    theirs = {RUN_EXPORTS: b"{}", REPODATA_BZ2: b"BZ"}
    for file, body in theirs.items():
        world.channel.upload(TEAM_NOARCH.file_key(file), body)
    world.configure("[index-config]\nwrite-shards = false\nwrite-zst = false\n")
    world.merge()
    assert there(world) == [REPODATA, REPODATA_BZ2, RUN_EXPORTS]
    assert {file: world.body(file) for file in theirs} == theirs


def test_another_stacks_leftover_stays_and_stops_nothing_until_the_channel_is_adopted() -> None:
    world = world_with(patched_noarch.RUN_EXPORTS)
    world.merger = world.owned_by("another stack")
    world.merge(adopt=True)
    key = TEAM_NOARCH.file_key(RUN_EXPORTS)
    kept = world.channel.objects[key]
    metadata = {**kept.info.metadata, "sluice-owner": "a third"}
    world.channel.upload(key, kept.body, metadata=metadata)
    world.configure("")
    world.merge()
    assert there(world) == [SHARD_INDEX, REPODATA_ZST, REPODATA, RUN_EXPORTS]
    world.merge(adopt=True)
    assert there(world) == [SHARD_INDEX, REPODATA_ZST, REPODATA]


@pytest.mark.parametrize("killed_before", ALL_OUTPUTS)
def test_what_a_crash_left_behind_is_finished(killed_before: str) -> None:
    world = world_with(EVERYTHING)
    put_patch(world, "2", {"patch_instructions_version": 1, "revoke": [A]})

    def die() -> None:
        raise Death

    world.channel.before = at_request("PutObject", TEAM_NOARCH.file_key(killed_before), die)
    with pytest.raises(Death):
        world.merge()
    publish(world)
    files = {file: world.body(file) for file in ALL_OUTPUTS}
    for file in ALL_OUTPUTS:
        world.channel.remove(TEAM_NOARCH.file_key(file))
    publish(world)
    assert {file: world.body(file) for file in ALL_OUTPUTS} == files
