"""Garbage: what goes, when, and above all what stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import msgpack
import msgspec
import pytest

from sluice import zstd
from sluice.catalog.commit import read_head
from sluice.catalog.reader import CatalogReader
from sluice.concurrency import in_order
from sluice.errors import Corrupt, Unavailable
from sluice.keys import REPODATA, SHARD_INDEX, Subdir
from sluice.reconcile import collect as module
from sluice.reconcile.collect import Collected, Collector, collect
from sluice.reconcile.marks import Mark
from tests.support.garbage import (
    DAY,
    RETENTION_DAYS,
    collect_garbage,
    immutable,
    index_with_another_tool,
    marks,
    published_at,
    reachable,
)
from tests.support.hooks import Death, die, on
from tests.support.memory_store import MemoryStore, ignore
from tests.support.staged import NOARCH, SUBDIR, A, B, C, World, indexed

DIGEST = "ab" * 32


def generation(world: World) -> set[str]:
    """All that the head's generation consists of."""
    head = world.head()
    assert head.tree
    return reachable(world, tree=head.tree, commit=head.commit)


def two_generations() -> tuple[World, set[str], set[str]]:
    """A name that changes once; what the first and what the second generation consists of."""
    world = World()
    world.add(A, b"one")
    world.merge()
    first = generation(world)
    world.add(A, b"two")
    world.merge()
    return world, first, generation(world)


def requests(*stores: MemoryStore) -> int:
    """How many requests there were."""
    return sum(len(store.requests) for store in stores)


# --- what goes, and when --------------------------------------------------------------------------


def test_a_superseded_generation_goes_when_its_successor_has_been_published_for_so_many_days() -> (
    None
):
    world, first, second = two_generations()
    assert collect_garbage(world) == Collected()
    world.tick(RETENTION_DAYS * DAY)
    sizes = {
        key: stored.info.size
        for store in (world.state, world.channel)
        for key, stored in store.objects.items()
    }
    assert collect_garbage(world) == Collected(len(first), sum(sizes[key] for key in first))
    assert immutable(world) == second
    assert world.published().keys() == {A}


def test_it_goes_neither_a_second_too_early_nor_one_too_late() -> None:
    world, first, second = two_generations()
    collect_garbage(world)
    (mark,) = marks(world).marks
    # LastModified has whole seconds: at most the one that has begun is waited for.
    world.now_ms = mark.published_at + RETENTION_DAYS * DAY * 1000 - 1000
    collect_garbage(world)
    assert immutable(world) == first | second
    collect_garbage(world)
    assert immutable(world) == second


def test_a_superseded_generation_stays_while_its_successor_is_not_published() -> None:
    world = World()
    world.add(A, b"one")
    world.merge()
    collect_garbage(world)
    world.add(A, b"two")
    world.channel.before = on("PutObject", SUBDIR.public(SHARD_INDEX), die)
    with pytest.raises(Death):
        world.merge()
    world.tick(2 * RETENTION_DAYS * DAY)
    before = immutable(world)
    assert collect_garbage(world) == Collected()
    world.merge()  # publishes, weeks after the commit
    assert collect_garbage(world) == Collected()
    world.tick((RETENTION_DAYS - 1) * DAY)
    assert collect_garbage(world) == Collected()
    assert immutable(world) == before
    world.tick(DAY)
    collect_garbage(world)
    assert immutable(world) == generation(world)


def test_a_generation_that_was_there_for_years_stays_for_days_when_it_is_superseded() -> None:
    world = World()
    world.add(A, b"one")
    world.add(B, b"one")
    world.merge()
    world.tick(10 * DAY)
    world.add(A, b"two")
    world.merge()
    second = generation(world)
    collect_garbage(world)
    world.tick(1000 * DAY)
    collect_garbage(world)
    world.add(B, b"two")
    world.merge()
    for _ in range(RETENTION_DAYS):
        collect_garbage(world)
        assert second <= immutable(world)
        world.tick(DAY)
    collect_garbage(world)
    assert immutable(world) == generation(world)


def test_on_a_channel_that_changes_daily_the_generations_of_the_retention_stay_and_few_more() -> (
    None
):
    world = World()
    generations: list[set[str]] = []
    for day in range(4 * RETENTION_DAYS):
        world.add(A, b"%d" % day)
        world.merge()
        generations.append(generation(world))
        collect_garbage(world)
        world.tick(DAY)
        kept = [number for number, keys in enumerate(generations) if keys <= immutable(world)]
        oldest = max(0, day - RETENTION_DAYS)
        assert set(kept) >= set(range(oldest, day + 1))
        assert min(kept) >= oldest - 3
    assert immutable(world) == set().union(*generations[min(kept) :])


def test_what_a_merge_wrote_and_lost_goes_after_a_day_even_if_nothing_else_ever_happens() -> None:
    world, *_ = two_generations()
    world.tick(2 * RETENTION_DAYS * DAY)
    collect_garbage(world)  # the first sight: from here on it counts
    world.add(B)
    world.state.before = on("PutObject", SUBDIR.head, die)
    with pytest.raises(Death):
        world.merge()
    lost = immutable(world)
    world.merge()
    collect_garbage(world)
    assert immutable(world) > lost
    world.tick(RETENTION_DAYS * DAY)
    collect_garbage(world)
    assert immutable(world) == generation(world)


def test_garbage_of_less_than_a_day_stays_although_the_head_has_been_there_for_long() -> None:
    world, *_ = two_generations()
    collect_garbage(world)
    world.tick(2 * RETENTION_DAYS * DAY)
    collect_garbage(world)
    kept = generation(world)
    world.add(B)
    world.state.before = on("PutObject", SUBDIR.head, die)
    with pytest.raises(Death):
        world.merge()
    for key in world.staged():
        world.state.remove(key)
    lost = immutable(world) - kept
    assert lost
    bump(world)
    world.tick(DAY - 60)
    assert collect_garbage(world) == Collected()
    assert immutable(world) == kept | lost
    world.tick(60)
    assert collect_garbage(world).objects == len(lost)
    assert immutable(world) == kept


def test_garbage_of_less_than_a_day_is_not_forgotten_because_there_is_older() -> None:
    world, *_ = two_generations()
    collect_garbage(world)
    world.tick(2 * RETENTION_DAYS * DAY)
    collect_garbage(world)
    kept = immutable(world)
    world.channel.upload(SUBDIR.shard(DIGEST), b"old")
    world.tick(2 * DAY)
    world.state.upload(SUBDIR.commit(DIGEST), b"young")
    bump(world)
    assert collect_garbage(world).objects == 1
    assert immutable(world) == kept | {SUBDIR.commit(DIGEST)}
    world.tick(DAY)
    assert collect_garbage(world).objects == 1
    assert immutable(world) == kept


def bump(world: World) -> None:
    """Have a merge that changes nothing but the epoch."""
    world.stage(indexed(C))
    epoch = world.head().epoch
    world.merge()
    assert world.head().epoch == epoch + 1


def test_more_than_one_run_can_take_is_left_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEYS_PER_DELETE_MAX", 2)
    monkeypatch.setattr(module, "GARBAGE_AT_ONCE_MAX", 3)
    world = World(page_size=2)
    for body in (b"one", b"two", b"three", b"four"):
        world.add(A, body)
        world.merge()
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)
    counts = [collect_garbage(world).objects for _ in range(5)]
    assert counts == [3, 3, 3, 3, 0]
    assert immutable(world) == generation(world)


# --- what stays -----------------------------------------------------------------------------------


def test_nothing_but_what_is_named_exactly_as_sluice_names_it_is_ever_deleted() -> None:
    world, first, second = two_generations()
    collect_garbage(world)
    others = [
        *(Subdir("Conda", "linux-64").leaf(DIGEST), Subdir("Conda", "linux-64").shard(DIGEST)),
        *(NOARCH.leaf(DIGEST), NOARCH.tree(DIGEST), NOARCH.commit(DIGEST), NOARCH.shard(DIGEST)),
        *(f"{SUBDIR.shards.prefix}{name}" for name in ("README", "a-1-0.conda", DIGEST)),
        f"{SUBDIR.shards.prefix}{DIGEST}.msgpack",
        f"{SUBDIR.shards.prefix}{DIGEST.upper()}.msgpack.zst",
        f"{SUBDIR.shards.prefix}{DIGEST[1:]}.msgpack.zst",
        f"{SUBDIR.shards.prefix}0{DIGEST}.msgpack.zst",
        f"{SUBDIR.shards.prefix}{DIGEST}.msgpack.zst/{DIGEST}.msgpack.zst",
        f"{SUBDIR.shards.prefix}{SUBDIR.shard(DIGEST)}",
        f"{SUBDIR.prefix}old/shards/{DIGEST}.msgpack.zst",
        *(f"{SUBDIR.leaves.prefix}{DIGEST}{suffix}" for suffix in ("", ".json", ".msgpack.zst~")),
        SUBDIR.staged(A, "1"),
        SUBDIR.set_aside(SUBDIR.staged(A, "1")),
    ]
    for key in others:
        world.channel.upload(key, b"not ours")
        world.state.upload(key, b"not ours")
    world.tick(RETENTION_DAYS * DAY)
    before = {*world.channel.keys(), *world.state.keys()}
    assert collect_garbage(world).objects == len(first)
    assert before - {*world.channel.keys(), *world.state.keys()} == first
    assert second <= before


def test_the_live_index_of_another_tool_stays_where_sluice_has_only_rejects() -> None:
    world = World()
    world.index_as_others_do(B)
    world.channel.upload(SUBDIR.shard(DIGEST), b"theirs")
    world.add_corrupt(C, b"one")
    world.merge()
    first = generation(world)
    world.add_corrupt(C, b"two")
    world.merge()
    collect_garbage(world)
    world.tick(10 * RETENTION_DAYS * DAY)
    collect_garbage(world)
    assert immutable(world) == generation(world) | {SUBDIR.shard(DIGEST)}
    assert not first & immutable(world)


def test_shards_of_an_index_that_was_taken_over_stay_for_those_who_still_hold_it() -> None:
    world = World()
    world.index_as_others_do(B, shards=b"theirs")
    world.channel.upload(SUBDIR.shard(DIGEST), b"their shard")
    world.add_corrupt(C)
    world.merge()
    collect_garbage(world)
    world.tick(2 * RETENTION_DAYS * DAY)
    collect_garbage(world)  # a cut that is older than the take-over, and not public
    for body in (b"one", b"two"):
        world.tick(2 * DAY)
        world.add(A, body)
        world.merge()
        collect_garbage(world)
    world.tick((RETENTION_DAYS - 2) * DAY - 60)
    collect_garbage(world)
    assert SUBDIR.shard(DIGEST) in immutable(world)
    (taken_over,) = world.state.keys(SUBDIR.taken_over_indexes.prefix)
    world.tick(4 * DAY)
    collect_garbage(world)
    assert immutable(world) == generation(world)
    assert taken_over not in world.state.objects


def test_shards_that_another_tool_still_names_stay_for_the_readers_of_its_last_index() -> None:
    world = World()
    for filename in (B, C):
        world.upload(filename, filename.encode())
    theirs = index_with_another_tool(world)
    world.add(A)
    world.merge()
    for _ in range(3 * RETENTION_DAYS):
        collect_garbage(world)
        world.tick(DAY)
        # It writes its index again, and finds that the shards of B and C are there.
        index_with_another_tool(world)
        world.merge()
    for _ in range(RETENTION_DAYS):
        collect_garbage(world)
        assert theirs <= immutable(world)
        world.tick(DAY)
    world.tick(2 * DAY)
    collect_garbage(world)
    assert immutable(world) == generation(world)


def test_while_an_index_of_another_tool_cannot_be_read_all_shards_stay() -> None:
    world, first, second = two_generations()
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)
    world.channel.upload(SUBDIR.public(SHARD_INDEX), b"not msgpack")
    world.merge()
    collect_garbage(world)
    shards = {key for key in first if SUBDIR.shards.digest(key)}
    (kept,) = world.state.keys(SUBDIR.taken_over_indexes.prefix)
    assert immutable(world) == shards | second | {kept}
    world.tick((RETENTION_DAYS + 2) * DAY)
    collect_garbage(world)
    assert immutable(world) == second


def test_while_the_published_files_are_behind_nothing_is_asked_or_deleted() -> None:
    world, *_ = two_generations()
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)
    world.channel.upload(SUBDIR.public(REPODATA), b"of another tool")
    before = immutable(world)
    assert published_at(world, world.head()) is None
    count = requests(world.state, world.channel)
    assert collect_garbage(world) == Collected()
    assert requests(world.state, world.channel) == count + 1  # the head, by the test
    assert immutable(world) == before


def test_without_a_head_there_is_nothing_to_collect() -> None:
    world = World()
    version = read_head(world.state, SUBDIR)
    collector = Collector(world.channel, world.state, RETENTION_DAYS, lambda: world.now_ms)
    catalog = CatalogReader(world.state, SUBDIR, in_order)
    assert collect(
        collector, SUBDIR, version, catalog, published_at=world.now_ms, dry_run=False
    ) == (Collected())
    assert world.state.keys() == []


def test_more_retention_than_before_is_kept_from_then_on() -> None:
    world = World()
    for day in range(20):
        world.add(A, b"%d" % day)
        world.merge()
        collect_garbage(world)
        world.tick(DAY)
    before = immutable(world)
    for _ in range(3):
        assert collect_garbage(world, retention_days=30) == Collected()
        world.tick(DAY)
    assert immutable(world) == before


def test_a_head_that_somebody_put_back_starts_the_count_anew() -> None:
    world, first, second = two_generations()
    old, etag = world.head(), world.state.objects[SUBDIR.head]
    world.add(A, b"three")
    world.merge()
    third = generation(world)
    collect_garbage(world)
    world.tick((RETENTION_DAYS - 1) * DAY)
    world.state.objects[SUBDIR.head] = etag
    assert world.head() == old
    world.add(B)
    world.merge()
    fourth = generation(world)
    collect_garbage(world)
    assert [mark.tree for mark in marks(world).marks] == [world.head().tree]
    world.tick((RETENTION_DAYS - 1) * DAY)
    collect_garbage(world)
    assert immutable(world) == first | second | third | fourth
    world.tick(DAY)
    collect_garbage(world)
    assert immutable(world) == fourth


# --- whenever, however often, and with whom beside ------------------------------------------------


def test_on_a_subdir_that_does_not_change_any_more_it_costs_one_request() -> None:
    world, *_ = two_generations()
    costs = []
    for days in (0, 0, 1, RETENTION_DAYS, 0, 1, 100):
        world.tick(days * DAY)
        count = requests(world.state, world.channel)
        collect_garbage(world)
        costs.append(requests(world.state, world.channel) - count - 1)  # the head, by the test
    look, note = 1, 2
    sweep = note + 2 + 2 + 6 + 4 + 1  # ... time and head, the tree, LISTs, deletes, marks
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
    assert collect_garbage(world, dry_run=True) == Collected()
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
        happened = at_request(world, number, partial(happen, world), after=after)
        with suppress(Death):
            collect_garbage(world)
        if not happened:
            break
        yield world
        number += 1
    assert number > 15


def at_request(
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
    for world in at_each_request(lambda _: die(), after=after):
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
    world.state.upload(SUBDIR.tree(tree), world.state.body(SUBDIR.tree(tree)))
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
    world.state.upload(SUBDIR.marks, body)


def test_it_is_s3s_clock_that_counts_however_far_ours_is_ahead() -> None:
    world, first, second = two_generations()
    collect_garbage(world)
    version = read_head(world.state, SUBDIR)
    ahead = world.now_ms + 10 * RETENTION_DAYS * DAY * 1000
    collected = collect(
        Collector(world.channel, world.state, RETENTION_DAYS, lambda: ahead),
        SUBDIR,
        version,
        CatalogReader(world.state, SUBDIR, in_order),
        published_at=published_at(world, version.head),
        dry_run=False,
    )
    assert collected == Collected()
    assert immutable(world) == first | second


@pytest.mark.parametrize("key", [SUBDIR.marks, SUBDIR.head])
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

    operation = "GetObject" if happen == "replaced" and key == SUBDIR.marks else "PutObject"
    world.state.after = on(operation, SUBDIR.marks, touch)
    assert collect_garbage(world) == Collected()
    assert immutable(world) == first | second


def test_a_dry_run_tells_of_an_index_of_another_tool_that_nobody_holds_any_more() -> None:
    world = World()
    world.index_as_others_do(B, shards=b"theirs")
    world.channel.upload(SUBDIR.shard(DIGEST), b"their shard")
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
    beside = SUBDIR.public(f"{'01' * 32}.msgpack.zst")
    world.channel.upload(beside, zstd.compress(msgpack.packb({"packages.conda": {B: {}}})))
    world.channel.upload(SUBDIR.public(SHARD_INDEX), zstd.compress(index))
    world.add(A)
    world.merge()
    collect_garbage(world)
    world.tick((RETENTION_DAYS - 1) * DAY)
    index_with_another_tool(world)  # so that the cut is not the head
    world.channel.upload(SUBDIR.public(SHARD_INDEX), zstd.compress(index))
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
    assert collect_garbage(world) == Collected()
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
        key = SUBDIR.tree(head.tree)
        before = immutable(world)
        world.state.before = on(operation, key, partial(world.state.remove, key))
        assert collect_garbage(world) == Collected()
        assert immutable(world) == before - {key}
        assert first | second > {key}


def test_marks_that_cannot_be_read_are_left_alone_and_so_is_everything_else() -> None:
    world, first, second = two_generations()
    world.tick(RETENTION_DAYS * DAY)
    world.state.upload(SUBDIR.marks, b'{"format": 2, "marks": [], "settled": null}')
    with pytest.raises(Corrupt, match="format 2"):
        collect_garbage(world)
    assert immutable(world) == first | second


def test_a_deletion_that_s3_refuses_is_said_and_tried_again() -> None:
    world, first, second = two_generations()
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)

    def refuse() -> None:
        raise Unavailable("SlowDown")

    world.channel.before = on("DeleteObjects", min(first & {*world.channel.keys()}), refuse)
    with pytest.raises(Unavailable):
        collect_garbage(world)
    collect_garbage(world)
    assert immutable(world) == second
