from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sluice.admin.changes.pins import pins
from sluice.admin.changes.remove import Removal, locate_packages, remove
from sluice.errors import Misused, NotFound, Unavailable
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from tests.support.admin_channel import admin_channel
from tests.support.staging_records import NOARCH, A, B, C
from tests.support.subdir_world import World

INDEX_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA)


def indexed() -> World:
    world = World()
    for filename in (A, B, C):
        world.add(filename)
    world.merge()
    return world


def take_away(world: World, *files: str, grace_seconds: float = 60) -> Removal:
    """Remove packages; whoever pauses lets the queue be worked off."""

    def pause(seconds: float) -> None:
        world.tick(int(seconds))
        world.deliver()

    done = remove(
        admin_channel(world), world.subdir, files, grace_seconds=grace_seconds, pause=pause
    )
    world.deliver()
    return done


def test_what_is_removed_leaves_nothing_behind() -> None:
    world = indexed()
    done = take_away(world, A, B)
    assert (done.deleted, done.gone, done.overwritten) == ([A, B], [], [])
    assert list(world.published()) == [C]
    assert list(world.entries()) == [C]
    assert json.loads(world.body())["removed"] == []
    assert world.subdir.file_key(A) not in world.channel.objects
    assert world.staged() == []


def test_no_index_file_ever_names_what_is_not_there() -> None:
    world = indexed()
    seen: list[str] = []

    def check(operation: str, _key: str) -> None:
        seen.append(operation)
        for name in world.published_in_shards() | _records(world):
            assert world.subdir.file_key(name) in world.channel.objects

    def _records(world: World) -> dict[str, object]:
        repodata = json.loads(world.body())
        return {**repodata["packages"], **repodata["packages.conda"]}

    world.channel.after = check
    take_away(world, A)
    assert "DeleteObjects" in seen


def test_it_waits_for_every_file_and_then_for_what_clients_hold() -> None:
    world = indexed()
    world.tick()
    paused: list[tuple[float, list[str]]] = []

    def pause(seconds: float) -> None:
        paused.append((seconds, list(world.published())))
        if len(paused) == 3:
            world.deliver()

    remove(admin_channel(world), world.subdir, [A], grace_seconds=60, pause=pause)
    assert paused == [(1, [A, B, C]), (1, [A, B, C]), (1, [A, B, C]), (60, [B, C])]


def test_what_is_not_published_is_not_deleted() -> None:
    world = indexed()
    world.tick()
    with pytest.raises(Unavailable, match="was not published within"):
        remove(admin_channel(world), world.subdir, [A], pause=lambda _: None)
    assert world.subdir.file_key(A) in world.channel.objects
    take_away(world, A)
    assert list(world.entries()) == [B, C]


def test_what_is_uploaded_again_meanwhile_is_left() -> None:
    world = indexed()
    world.tick()
    uploaded: list[str] = []

    def pause(_seconds: float) -> None:
        world.deliver()
        if not uploaded:
            uploaded.append(A)
            world.add(A, b"better")

    done = remove(admin_channel(world), world.subdir, [A, B], pause=pause)
    world.merge()
    assert (done.deleted, done.overwritten) == ([B], [A])
    assert sorted(world.published()) == [A, C]


def test_what_somebody_has_deleted_before_leaves_the_index_all_the_same() -> None:
    world = indexed()
    world.remove(A)
    done = take_away(world, A)
    assert (done.deleted, done.gone) == ([], [A])
    assert sorted(world.published()) == [B, C]


def test_a_rejected_package_can_be_removed_as_well() -> None:
    world = indexed()
    world.add_corrupt(A)
    world.merge()
    assert take_away(world, A).deleted == [A]
    assert A not in world.entries()
    assert world.rejects() == []


def test_a_package_that_is_nowhere_is_named_before_anything_is_done() -> None:
    world = indexed()
    with pytest.raises(NotFound, match="alpha-9-0"):
        take_away(world, B, "alpha-9-0.conda")
    assert sorted(world.published()) == [A, B, C]
    assert pins(admin_channel(world)) == []


def test_without_a_stack_it_is_merged_in_this_process() -> None:
    world = indexed()
    world.tick()
    alone = replace(admin_channel(world), merges=None)
    remove(alone, world.subdir, [A], pause=lambda _: None)
    assert list(world.entries()) == [B, C]
    assert sorted(world.published()) == [B, C]


def test_packages_are_found_by_subdir_and_file_or_by_the_file_alone() -> None:
    world = indexed()
    channel = admin_channel(world)
    assert locate_packages(channel, [A, f"linux-64/{B}"]) == {world.subdir: [A, B]}
    world.channel.upload(NOARCH.file_key(A), b"")
    other = World(subdir=NOARCH)
    other.channel, other.state = world.channel, world.state
    world.state.upload(NOARCH.head_key, world.state.body(world.subdir.head_key))
    with pytest.raises(
        Misused, match=f"in several subdirs: name it as one of linux-64/{A}, noarch/{A}"
    ):
        locate_packages(channel, [A])
    with pytest.raises(NotFound, match=r"nothing-1-0\.conda is in no subdir"):
        locate_packages(channel, ["nothing-1-0.conda"])
    with pytest.raises(Misused, match="'alpha' is not a package"):
        locate_packages(channel, ["alpha"])
