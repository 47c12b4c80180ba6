"""A pack is collected as a leaf is: when no node that is still kept refers to it."""

from __future__ import annotations

import pytest

from sluice.admin.changes.rollback import rollback
from sluice.layout import SHARD_INDEX
from tests.support.admin_channel import admin_channel
from tests.support.garbage import DAY, RETENTION_DAYS, collect_garbage, generation, immutable
from tests.support.packed import add_names, filename, pack_from, packs
from tests.support.request_hooks import ProcessKilled
from tests.support.staging_records import SUBDIR
from tests.support.subdir_world import World

NAMES = ["p1", "p2", "p3"]


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    pack_from(monkeypatch, 2)


def world_with_a_pack() -> tuple[World, str]:
    """A channel whose names are in one pack, and its key."""
    world = World()
    add_names(world, NAMES)
    (pack,) = packs(world)
    collect_garbage(world)
    return world, SUBDIR.pack_key(pack)


def retire_generation(world: World) -> None:
    """Let the retention of all but the newest generation pass."""
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)
    collect_garbage(world)


def test_a_pack_stays_as_long_as_one_of_its_names_is_unchanged() -> None:
    world, pack = world_with_a_pack()
    for name in NAMES[:-1]:
        add_names(world, [name], version=2)
        retire_generation(world)
        assert pack in world.state.objects
        assert immutable(world) == generation(world)
    assert world.published().keys() == {
        *map(filename, NAMES),
        *(filename(name, 2) for name in NAMES[:-1]),
    }
    add_names(world, NAMES[-1:], version=2)
    retire_generation(world)
    assert pack not in world.state.objects
    assert immutable(world) == generation(world)


def test_a_pack_stays_for_readers_of_the_generation_before() -> None:
    world, pack = world_with_a_pack()
    add_names(world, NAMES, version=2)
    collect_garbage(world)
    world.tick((RETENTION_DAYS - 1) * DAY)
    collect_garbage(world)
    assert pack in world.state.objects
    world.tick(DAY)
    collect_garbage(world)
    assert pack not in world.state.objects
    assert immutable(world) == generation(world)


def test_a_pack_goes_with_its_last_name() -> None:
    world, pack = world_with_a_pack()
    for name in NAMES:
        world.drop(filename(name))
    world.merge()
    retire_generation(world)
    assert pack not in world.state.objects


def test_a_rollback_writes_a_pack_of_its_own_and_keeps_none_alive() -> None:
    world, pack = world_with_a_pack()
    add_names(world, NAMES, version=2)
    rollback(admin_channel(world), SUBDIR, 1)
    world.deliver()
    assert world.published().keys() == set(map(filename, NAMES))
    retire_generation(world)
    assert pack not in world.state.objects
    assert len(packs(world)) == 1
    assert immutable(world) == generation(world)


def test_a_pack_of_a_merge_that_was_killed_goes_a_day_after_it_was_written() -> None:
    world, _ = world_with_a_pack()
    before = immutable(world)
    for name in ("q1", "q2"):
        world.add(filename(name))

    def kill_at_tree(operation: str, key: str) -> None:
        if operation == "PutObject" and key.startswith("trees/"):
            raise ProcessKilled

    world.state.before = kill_at_tree
    with pytest.raises(ProcessKilled):
        world.merge()
    (orphan,) = set(world.state.keys("packs/")) - before
    world.state.before = lambda *_: None
    world.replace_execution_environment()
    world.tick(DAY - 60)
    collect_garbage(world)
    assert orphan in world.state.objects
    world.merge()  # whose pack has another name: it is of another time
    assert orphan not in {SUBDIR.pack_key(pack) for pack in packs(world)}
    retire_generation(world)
    world.tick(DAY)
    retire_generation(world)
    assert orphan not in world.state.objects
    assert immutable(world) == generation(world)


def test_packs_are_collected_before_an_index_of_another_tool_is_replaced() -> None:
    """A tree that is not public has packs as well."""
    world = World()
    for name in NAMES:
        world.add_corrupt(filename(name))
    world.merge()
    assert SUBDIR.file_key(SHARD_INDEX) not in world.channel.objects
    (pack,) = packs(world)
    collect_garbage(world)
    for name in NAMES:
        world.drop(filename(name))
    world.merge()
    retire_generation(world)
    assert SUBDIR.pack_key(pack) not in world.state.objects
