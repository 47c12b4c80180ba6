"""Garbage collection whenever, however often, and whatever happens beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import msgpack
import msgspec
import pytest

from sluice import zstd
from sluice.catalog.head import read_head
from sluice.catalog.reader import CatalogReader
from sluice.concurrency import in_order
from sluice.errors import Corrupt, Unavailable
from sluice.layout import SHARD_INDEX
from sluice.reconcile.garbage import CollectedGarbage, GarbageContext, collect_subdir_garbage
from sluice.reconcile.publication_log import Mark
from testkit.memory_store import ignore
from tests.support.garbage import (
    DAY,
    RETENTION_DAYS,
    collect_garbage,
    generation,
    immutable,
    index_with_another_tool,
    marks,
    published_at,
    requests,
    two_generations,
)
from tests.support.packed import pack_each_leaf
from tests.support.request_hooks import ProcessKilled, at_request, kill_process
from tests.support.staging_records import SUBDIR, A, B
from tests.support.subdir_world import World

DIGEST = "ab" * 32


@pytest.fixture(autouse=True, params=[False, True], ids=["leaves", "packs"])
def _in_packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this holds for leaves in packs as well."""
    if request.param:
        pack_each_leaf(monkeypatch)


def test_on_a_subdir_that_does_not_change_any_more_it_costs_one_request() -> None:
    world, *_ = two_generations()
    costs = []
    for days in (0, 0, 1, RETENTION_DAYS, 0, 1, 100):
        world.tick(days * DAY)
        count = requests(world.state, world.channel)
        collect_garbage(world)
        costs.append(requests(world.state, world.channel) - count - 1)  # the head, by the test
    look, note = 1, 2
    sweep = note + 2 + 2 + 9 + 4 + 1  # ... time and head, the tree, LISTs, deletes, marks
    assert costs == [note, look, look, sweep, look, look, look]


def test_on_a_subdir_that_changes_daily_only_the_first_run_of_a_day_looks_for_garbage() -> None:
    world = World()
    for day in range(2 * RETENTION_DAYS):
        world.add(A, b"%d" % day)
        world.merge()
        collect_garbage(world)
        count = requests(world.state, world.channel)
        collect_garbage(world)
        assert requests(world.state, world.channel) == count + 2  # the head, by the test; marks
        world.tick(DAY)


def test_a_dry_run_tells_what_would_be_deleted_and_changes_nothing() -> None:
    world, first, _ = two_generations()
    before = dict(world.state.objects)
    assert collect_garbage(world, dry_run=True) == CollectedGarbage()
    assert world.state.objects == before
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)
    before, channel = dict(world.state.objects), dict(world.channel.objects)
    told = collect_garbage(world, dry_run=True)
    assert (world.state.objects, world.channel.objects) == (before, channel)
    assert told.objects == len(first)
    assert collect_garbage(world) == told


def grown() -> World:
    """A world in which there is something to collect now."""
    world = World(page_size=3)
    for body in (b"one", b"two", b"three"):
        world.add(A, body)
        world.add(B, body)
        world.merge()
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)
    return world


def at_each_request(happen: Callable[[World], None], *, after: bool = False) -> Iterator[World]:
    """Collect in as many worlds as a collection has requests, with something happening at each."""
    number = 0
    while True:
        world = grown()
        happened = at_request_number(world, number, partial(happen, world), after=after)
        with suppress(ProcessKilled):
            collect_garbage(world)
        if not happened:
            break
        yield world
        number += 1
    assert number > 15


def at_request_number(
    world: World, number: int, happen: Callable[[], None], *, after: bool
) -> list[tuple[str, str]]:
    """Let something happen once, at the so many-th request from now on; says when it did."""
    stores = (world.state, world.channel)
    left = number
    happened = []

    def hook(operation: str, key: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            happened.append((operation, key))
            for store in stores:
                store.before = store.after = ignore
            happen()

    for store in stores:
        store.before, store.after = (ignore, hook) if after else (hook, ignore)
    return happened


@pytest.mark.parametrize("after", [False, True])
def test_it_may_be_killed_at_any_request_and_the_next_run_does_the_rest(*, after: bool) -> None:
    for world in at_each_request(lambda _: kill_process(), after=after):
        live = generation(world)
        assert live <= immutable(world)
        assert world.published().keys() == {A, B}
        for _ in range(2):
            collect_garbage(world)
        assert immutable(world) == live


def test_a_merge_may_happen_at_any_request() -> None:
    seen: list[set[str]] = []

    def meanwhile(world: World) -> None:
        seen[:] = [generation(world)]
        world.tick(60)
        world.add(A, b"four")
        world.merge()
        seen.append(generation(world))

    for world in at_each_request(meanwhile):
        assert set().union(*seen) <= immutable(world)
        assert world.published().keys() == {A, B}


def test_it_may_be_held_up_for_weeks_at_any_request_while_all_else_goes_on() -> None:
    seen: list[set[str]] = []

    def meanwhile(world: World) -> None:
        seen.clear()
        for body in (b"four", b"five", b"six"):
            world.tick(2 * RETENTION_DAYS * DAY)
            world.add(A, body)
            world.merge()
            if body == b"four":
                collect_garbage(world)
            seen.append(generation(world))

    for world in at_each_request(meanwhile):
        assert set().union(*seen[1:]) <= immutable(world)
        assert world.published().keys() == {A, B}


def test_two_at_once_delete_no_more_than_one_and_leave_nothing() -> None:
    def meanwhile(world: World) -> None:
        collect_garbage(world)

    for world in at_each_request(meanwhile):
        for _ in range(2):
            collect_garbage(world)
        assert immutable(world) == generation(world)
        count = requests(world.state, world.channel)
        collect_garbage(world)
        assert requests(world.state, world.channel) == count + 2


def test_a_late_second_copy_of_a_tree_does_not_make_its_successors_garbage() -> None:
    world = World()
    world.add(A, b"one")
    world.merge()
    tree = world.head().tree
    assert tree
    world.add(A, b"two")
    world.merge()
    second = generation(world)
    # Another merge wrote the same tree in the same millisecond, and its PUT came later.
    world.tick(600)
    world.state.upload(SUBDIR.tree_key(tree), world.state.body(SUBDIR.tree_key(tree)))
    version_of_first = Mark(
        generation=1,
        tree=tree,
        commit=world.commit().parent or "",
        published_at=world.now_ms - 10_000,
    )
    collect_garbage(world)
    seen = marks(world)
    write(world, [version_of_first, *seen.marks])
    world.add(A, b"three")
    world.merge()
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY - 650)
    collect_garbage(world)
    assert second <= immutable(world)


def write(world: World, found: list[Mark]) -> None:
    """Have these marks there."""
    body = msgspec.json.encode({"format": 1, "marks": found, "settled": None})
    world.state.upload(SUBDIR.marks_key, body)


def test_it_is_s3s_clock_that_counts_however_far_ours_is_ahead() -> None:
    world, first, second = two_generations()
    collect_garbage(world)
    version = read_head(world.state, SUBDIR)
    ahead = world.now_ms + 10 * RETENTION_DAYS * DAY * 1000
    collected = collect_subdir_garbage(
        GarbageContext(world.channel, world.state, RETENTION_DAYS, lambda: ahead),
        SUBDIR,
        version,
        CatalogReader(world.state, SUBDIR, in_order),
        published_at=published_at(world, version.value),
        dry_run=False,
    )
    assert collected == CollectedGarbage()
    assert immutable(world) == first | second


@pytest.mark.parametrize("key", [SUBDIR.marks_key, SUBDIR.head_key])
@pytest.mark.parametrize("happen", ["deleted", "replaced"])
def test_whoever_touches_the_head_or_the_marks_meanwhile_has_nothing_deleted(
    key: str, happen: str
) -> None:
    world, first, second = two_generations()
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)

    def touch() -> None:
        if happen == "deleted":
            world.state.remove(key)
        else:
            world.state.upload(key, b"of somebody else")

    operation = "GetObject" if happen == "replaced" and key == SUBDIR.marks_key else "PutObject"
    world.state.after = at_request(operation, SUBDIR.marks_key, touch)
    assert collect_garbage(world) == CollectedGarbage()
    assert immutable(world) == first | second


def test_a_dry_run_tells_of_an_index_of_another_tool_that_nobody_holds_any_more() -> None:
    world = World()
    world.index_as_others_do(B, shards=b"theirs")
    world.channel.upload(SUBDIR.shard_key(DIGEST), b"their shard")
    world.add(A)
    world.merge()
    collect_garbage(world)
    world.tick((RETENTION_DAYS + 2) * DAY)
    before = dict(world.state.objects), dict(world.channel.objects)
    told = collect_garbage(world, dry_run=True)
    assert (world.state.objects, world.channel.objects) == before
    assert told == collect_garbage(world)
    assert immutable(world) == generation(world)


def test_shards_of_another_tool_that_lie_beside_its_index_are_nothing_to_collect() -> None:
    world = World()
    world.upload(B, B.encode())
    index = msgpack.packb({"info": {"shards_base_url": ""}, "shards": {"beta": b"\1" * 32}})
    beside = SUBDIR.file_key(f"{'01' * 32}.msgpack.zst")
    world.channel.upload(beside, zstd.compress(msgpack.packb({"packages.conda": {B: {}}})))
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), zstd.compress(index))
    world.add(A)
    world.merge()
    collect_garbage(world)
    world.tick((RETENTION_DAYS - 1) * DAY)
    index_with_another_tool(world)  # so that the cut is not the head
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), zstd.compress(index))
    world.add(A, b"two")
    world.merge()
    for _ in range(RETENTION_DAYS):
        world.tick(DAY)
        collect_garbage(world)
    assert beside in world.channel.objects
    assert generation(world) <= immutable(world)


def test_a_mark_whose_generation_was_collected_already_is_no_cut() -> None:
    world, first, second = two_generations()
    collect_garbage(world)
    gone = Mark(generation=1, tree=DIGEST, commit=DIGEST, published_at=1000)
    write(world, [gone, *marks(world).marks])
    assert collect_garbage(world) == CollectedGarbage()
    assert immutable(world) == first | second
    assert marks(world).settled is None
    world.tick(RETENTION_DAYS * DAY)
    collect_garbage(world)
    assert immutable(world) == second


def test_a_cut_whose_tree_goes_while_it_is_read_is_none() -> None:
    for operation in ("HeadObject", "GetObject"):
        world, first, second = two_generations()
        head = world.head()
        collect_garbage(world)
        world.tick(DAY)
        world.add(B)
        world.merge()
        collect_garbage(world)
        world.tick((RETENTION_DAYS - 1) * DAY)
        assert head.tree
        key = SUBDIR.tree_key(head.tree)
        before = immutable(world)
        world.state.before = at_request(operation, key, partial(world.state.remove, key))
        assert collect_garbage(world) == CollectedGarbage()
        assert immutable(world) == before - {key}
        assert first | second > {key}


def test_marks_that_cannot_be_read_are_left_alone_and_so_is_everything_else() -> None:
    world, first, second = two_generations()
    world.tick(RETENTION_DAYS * DAY)
    world.state.upload(SUBDIR.marks_key, b'{"format": 2, "marks": [], "settled": null}')
    with pytest.raises(Corrupt, match="format 2"):
        collect_garbage(world)
    assert immutable(world) == first | second


def test_a_deletion_that_s3_refuses_is_said_and_tried_again() -> None:
    world, first, second = two_generations()
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)

    def refuse() -> None:
        raise Unavailable("SlowDown")

    world.channel.before = at_request("DeleteObjects", min(first & {*world.channel.keys()}), refuse)
    with pytest.raises(Unavailable):
        collect_garbage(world)
    collect_garbage(world)
    assert immutable(world) == second
