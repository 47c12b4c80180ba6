"""Old generations that are collected while somebody reads them, and damage that is none of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sluice.admin.changes.pins import pins
from sluice.admin.changes.rollback import rollback
from sluice.admin.changes.snapshot import snapshot
from sluice.admin.history.diff import diff
from sluice.admin.history.generations import commit_time, find_commits
from sluice.admin.history.log import follow, log
from sluice.admin.history.show import show
from sluice.admin.history.status import status
from sluice.catalog.head import read_head
from sluice.catalog.leaf_reader import stored_key
from sluice.catalog.reader import CatalogReader
from sluice.concurrency import in_order
from sluice.errors import Corrupt, Missing, NotFound, TooNew
from testkit.channel import patch_package
from tests.support.admin_channel import admin_channel
from tests.support.garbage import DAY, RETENTION_DAYS, collect_garbage, marks
from tests.support.packed import pack_each_leaf
from tests.support.request_hooks import at_request
from tests.support.staging_records import SUBDIR, A, B, C
from tests.support.standalone_channel import CHANNEL, LINUX, StandaloneChannel, package
from tests.support.subdir_world import World

D, E = "delta-1.0-0.conda", "epsilon-1.0-0.conda"
SAYS = (
    r"generation 1 of Conda/Default/linux-64/ is no longer kept: .* collected.*"
    r"`sluice log s3://channels/Conda/Default/linux-64` shows"
)


def four_generations() -> World:
    """Four generations; the first two can be collected, with the third as the boundary.

    Each rejects something, and has leaves of its own.
    """
    world = World()
    world.add(A, b"one")
    world.add(C)
    world.add_corrupt(B)
    world.merge()
    collect_garbage(world)
    world.tick(2 * DAY)
    world.add(A, b"two")
    world.add(B)
    world.merge()
    world.tick(60)
    world.drop(C)
    world.add_corrupt(D)
    world.merge()
    collect_garbage(world)
    world.tick((RETENTION_DAYS + 1) * DAY)
    world.add(A, b"four")
    world.add_corrupt(E)
    world.drop(D)
    world.merge()
    return world


def taken(world: World, generation: int) -> object:
    """A snapshot of a generation."""
    channel = admin_channel(world)
    (commit,) = find_commits(channel, SUBDIR, generation)
    return snapshot(channel, replace(channel, name="then"), commit_time(commit))


Read = Callable[[World, int], object]
READ: dict[str, Read] = {
    "rollback": lambda world, of: rollback(admin_channel(world), SUBDIR, of),
    "dry-run": lambda world, of: rollback(admin_channel(world), SUBDIR, of, dry_run=True),
    "show": lambda world, of: show(admin_channel(world), SUBDIR, of),
    "diff-from": lambda world, of: diff(admin_channel(world), SUBDIR, of, world.head().generation),
    "diff-to": lambda world, of: diff(admin_channel(world), SUBDIR, world.head().generation, of),
    "snapshot": taken,
}
ALL = [pytest.param(read, id=name) for name, read in READ.items()]


@pytest.fixture(autouse=True, params=[False, True], ids=["leaves", "packs"])
def _in_packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this holds for leaves in packs as well."""
    if request.param:
        pack_each_leaf(monkeypatch)


def leaves(world: World, generation: int) -> set[str]:
    """The leaves that a generation reaches."""
    (commit,) = find_commits(admin_channel(world), SUBDIR, generation)
    catalog = world._catalog()
    nodes = catalog.tree(commit.tree).names.values()
    return {stored_key(SUBDIR, node) for node in nodes}


def tree_of(world: World, generation: int) -> str:
    """The key of its tree."""
    (commit,) = find_commits(admin_channel(world), SUBDIR, generation)
    return SUBDIR.tree_key(commit.tree)


# --- collected --------------------------------------------------------------------------------


@pytest.mark.parametrize("read", ALL)
def test_whoever_loses_the_race_against_the_collector_is_told_so(read: Read) -> None:
    world = four_generations()
    mine = leaves(world, 1) - leaves(world, 4)
    assert mine
    head = world.head()
    world.state.after = at_request(
        "GetObject", tree_of(world, 1), lambda: assert_deleted(collect_garbage(world).objects)
    )
    with pytest.raises(NotFound, match=SAYS):
        read(world, 1)
    assert not mine & world.state.objects.keys()
    assert world.head() == head


def assert_deleted(objects: int) -> None:
    """The race has to be lost."""
    assert objects > 0


@pytest.mark.parametrize("at", ["leaf", "tree"])
def test_it_makes_no_difference_when_the_collector_is_killed(at: str) -> None:
    """The boundary is noted before anything goes, and not only when all is gone."""
    world = four_generations()
    tree = tree_of(world, 1)
    before = sorted(leaves(world, 1) - leaves(world, 3))
    collect_garbage(world)
    assert [mark.generation for mark in marks(world).marks] == [3, 4]

    world = four_generations()
    gone: list[int] = []

    def die(operation: str, key: str) -> None:
        if operation == "DeleteObjects" and key.startswith(
            ("leaves/", "packs/") if at == "leaf" else "trees/"
        ):
            gone.append(1)
            raise ZeroDivisionError

    world.state.after = die
    with pytest.raises(ZeroDivisionError):
        collect_garbage(world)
    world.state.after = lambda _operation, _key: None
    assert gone
    assert tree not in world.state.objects
    assert any(key in world.state.objects for key in before) is (at == "tree")
    assert [mark.generation for mark in marks(world).marks] == [3, 4]


@pytest.mark.parametrize("read", [one for one in ALL if one.id != "show"])
def test_a_commit_that_outlives_its_leaves_is_of_no_generation_that_is_kept(read: Read) -> None:
    """It is less than a day older than the boundary, and its leaves are more."""
    world = four_generations()
    collect_garbage(world)
    assert find_commits(admin_channel(world), SUBDIR, 2)
    with pytest.raises(NotFound, match=r"generation 2 of .* has been garbage-collected"):
        read(world, 2)


def test_what_is_kept_of_it_is_shown() -> None:
    world = four_generations()
    (commit,) = find_commits(admin_channel(world), SUBDIR, 1)
    key = tree_of(world, 1)

    def collect() -> None:
        assert_deleted(collect_garbage(world).objects)

    world.state.before = at_request("GetObject", key, collect)
    found = show(admin_channel(world), SUBDIR, 1)
    assert (found.commit, found.packages, found.rejects, found.rejected) == (commit, None, None, [])


def test_the_instructions_of_a_patch_that_were_collected_are_no_damage() -> None:
    world = StandaloneChannel()
    world.upload(package("alpha"), patch("1", "MIT"))
    world.public.upload(f"{CHANNEL}/sluice.toml", b'[sluice]\npatches = "team-repodata-patches"\n')
    for _ in range(3):
        world.index()
    (first,) = find_commits(world.channel, LINUX, read_head(world.state, LINUX).value.generation)
    key = patch_key(world)
    world.tick(2 * DAY)
    world.upload(patch("2", "BSD"))
    for _ in range(3):
        world.index()
    assert patch_key(world) != key
    world.tick((RETENTION_DAYS + 1) * DAY)

    def collect() -> None:
        world.index()
        assert key not in world.state.objects

    world.state.after = at_request("GetObject", LINUX.tree_key(first.tree), collect)
    with pytest.raises(
        NotFound, match=f"generation {first.generation} .* has been garbage-collected"
    ):
        snapshot(world.channel, replace(world.channel, name="then"), commit_time(first))


def patch(version: str, license_: str) -> Any:
    """A patch package that gives alpha a license."""
    instructions = {
        "linux-64": {
            "patch_instructions_version": 1,
            "packages.conda": {package("alpha").filename: {"license": license_}},
        }
    }
    return patch_package(version, instructions)


def patch_key(world: StandaloneChannel) -> str:
    """The instructions in force."""
    catalog = CatalogReader(world.state, LINUX, in_order)
    tree = catalog.tree(read_head(world.state, LINUX).value.tree)
    assert tree.inputs
    assert tree.inputs.patch
    assert tree.inputs.patch.instructions
    return LINUX.patches.key(tree.inputs.patch.instructions)


# --- overtaken --------------------------------------------------------------------------------


def go_on(world: World) -> None:
    """Have more generations, and those of before collected."""
    for body in (b"five", b"six"):
        world.add(A, body)
        world.merge()
        collect_garbage(world)
        world.tick((RETENTION_DAYS + 2) * DAY)
    assert collect_garbage(world).objects


def overtaken(world: World, key: str) -> World:
    """The same, in which that happens after a key was read."""
    world.state.after = at_request("GetObject", key, lambda: go_on(world))
    return world


def test_a_history_whose_newest_commit_goes_while_it_is_read_is_read_again() -> None:
    world = overtaken(four_generations(), SUBDIR.head_key)
    found = log(admin_channel(world), SUBDIR.name)
    assert found.newest == {SUBDIR.name: 6}
    assert [one.commit.generation for one in found.generations] == [6]
    assert found.collected == [SUBDIR.name]


def test_who_follows_it_goes_on_with_what_there_is() -> None:
    world = overtaken(four_generations(), SUBDIR.head_key)
    following = follow(admin_channel(world), SUBDIR.name, after={SUBDIR.name: 3}, wait=lambda: None)
    assert next(following).commit.generation == 6


def test_the_present_is_read_again_where_it_comes_to_be_the_past() -> None:
    assert pins(admin_channel(overtaken(four_generations(), SUBDIR.head_key))) == []
    found = status(admin_channel(overtaken(four_generations(), SUBDIR.head_key))).subdirs
    assert {one.subdir: one.generation for one in found}[SUBDIR.name] == 6


def test_a_generation_is_found_in_the_history_that_there_is_by_then() -> None:
    world = overtaken(four_generations(), SUBDIR.head_key)
    with pytest.raises(NotFound, match="no generation 4: the oldest available is 6"):
        show(admin_channel(world), SUBDIR, 4)


# --- damaged ----------------------------------------------------------------------------------


def damaged(world: World, generation: int) -> World:
    """The same without what only that generation reaches of those that are kept."""
    others = [one for one in (3, 4, 5) if one != generation and one <= newest(world)]
    mine = leaves(world, generation).difference(*(leaves(world, one) for one in others))
    assert len(mine) > 1
    for key in mine:
        world.state.remove(key)
    return world


def newest(world: World) -> int:
    """The generation of the head."""
    return world.head().generation


def collected() -> World:
    """Four generations, the first two collected."""
    world = four_generations()
    assert collect_garbage(world).objects
    return world


def collected_and_gone_on() -> World:
    """A fifth generation."""
    world = collected()
    world.add(A, b"five")
    world.drop(E)
    world.merge()
    return world


@pytest.mark.parametrize("read", ALL)
@pytest.mark.parametrize(
    ("begin", "generation"),
    [
        pytest.param(collected, 4, id="the-head"),
        pytest.param(collected, 3, id="the-boundary"),
        pytest.param(collected_and_gone_on, 4, id="between"),
    ],
)
def test_what_is_kept_and_missing_is_damage(
    read: Read, begin: Callable[[], World], generation: int
) -> None:
    world = damaged(begin(), generation)
    # The head is read where another generation is compared with it.
    compares = read not in (READ["show"], READ["snapshot"])
    of = 3 if compares and generation == newest(world) else generation
    with pytest.raises(Corrupt, match=r"refers to the (leaf|pack) .*, which does not exist"):
        read(world, of)


@pytest.mark.parametrize("read", [one for one in ALL if one.id != "show"])
def test_what_an_old_generation_shares_with_the_boundary_is_damaged(read: Read) -> None:
    """The second generation is not kept, but this is no reason for that to be gone."""
    world = collected()
    shared = leaves(world, 2) & leaves(world, 3) - leaves(world, 4)
    assert len(shared) == 1
    for key in shared:
        world.state.remove(key)
    world.state.objects |= lost_leaves_of_second()
    with pytest.raises(Missing):
        read(world, 2)


def lost_leaves_of_second() -> dict[str, Any]:
    """What the second generation has alone, as it was before it was collected."""
    world = four_generations()
    return {key: world.state.objects[key] for key in leaves(world, 2) - leaves(world, 3)}


@pytest.mark.parametrize("read", ALL)
def test_a_tree_that_is_kept_and_missing_is_damage(read: Read) -> None:
    world = collected()
    world.state.remove(tree_of(world, 3))
    with pytest.raises(Corrupt, match=r"refers to the tree .*, which does not exist"):
        read(world, 3)


@pytest.mark.parametrize(
    "read",
    [*ALL, pytest.param(lambda world, _: log(admin_channel(world)), id="log")],
)
def test_a_commit_that_the_head_names_and_is_missing_is_damage(
    read: Callable[[World, int], object],
) -> None:
    world = collected()
    head = world.head()
    assert head.commit
    world.state.remove(SUBDIR.commit_key(head.commit))
    with pytest.raises(Corrupt, match=r"refers to the commit .*, which does not exist"):
        read(world, 4)


def test_marks_that_cannot_be_read_leave_it_open() -> None:
    world = collected()
    world.state.upload(SUBDIR.marks_key, b'{"format": 99, "marks": []}')
    with pytest.raises(TooNew):
        rollback(admin_channel(world), SUBDIR, 2)
