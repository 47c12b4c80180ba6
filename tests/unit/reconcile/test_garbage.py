"""Garbage: what goes, when, and above all what stays."""

from __future__ import annotations

import pytest

from sluice.catalog.head import read_head
from sluice.catalog.reader import CatalogReader
from sluice.concurrency import in_order
from sluice.layout import REPODATA, SHARD_INDEX, Subdir
from sluice.reconcile import garbage as module
from sluice.reconcile.garbage import CollectedGarbage, GarbageContext, collect_subdir_garbage
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
from tests.support.staging_records import NOARCH, SUBDIR, A, B, C, indexed
from tests.support.subdir_world import World

DIGEST = "ab" * 32


@pytest.fixture(autouse=True, params=[False, True], ids=["leaves", "packs"])
def _in_packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this holds for leaves in packs as well."""
    if request.param:
        pack_each_leaf(monkeypatch)


# --- what goes, and when --------------------------------------------------------------------------


def test_a_superseded_generation_goes_when_its_successor_has_been_published_for_so_many_days() -> (
    None
):
    world, first, second = two_generations()
    assert collect_garbage(world) == CollectedGarbage()
    world.tick(RETENTION_DAYS * DAY)
    sizes = {
        key: stored.info.size
        for store in (world.state, world.channel)
        for key, stored in store.objects.items()
    }
    assert collect_garbage(world) == CollectedGarbage(len(first), sum(sizes[key] for key in first))
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
    world.channel.before = at_request("PutObject", SUBDIR.file_key(SHARD_INDEX), kill_process)
    with pytest.raises(ProcessKilled):
        world.merge()
    world.tick(2 * RETENTION_DAYS * DAY)
    before = immutable(world)
    assert collect_garbage(world) == CollectedGarbage()
    world.merge()  # publishes, weeks after the commit
    assert collect_garbage(world) == CollectedGarbage()
    world.tick((RETENTION_DAYS - 1) * DAY)
    assert collect_garbage(world) == CollectedGarbage()
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
    world.state.before = at_request("PutObject", SUBDIR.head_key, kill_process)
    with pytest.raises(ProcessKilled):
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
    world.state.before = at_request("PutObject", SUBDIR.head_key, kill_process)
    with pytest.raises(ProcessKilled):
        world.merge()
    for key in world.staged():
        world.state.remove(key)
    lost = immutable(world) - kept
    assert lost
    bump(world)
    world.tick(DAY - 60)
    assert collect_garbage(world) == CollectedGarbage()
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
    world.channel.upload(SUBDIR.shard_key(DIGEST), b"old")
    world.tick(2 * DAY)
    world.state.upload(SUBDIR.commit_key(DIGEST), b"young")
    bump(world)
    assert collect_garbage(world).objects == 1
    assert immutable(world) == kept | {SUBDIR.commit_key(DIGEST)}
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
        *(
            Subdir("Conda", "linux-64").leaf_key(DIGEST),
            Subdir("Conda", "linux-64").shard_key(DIGEST),
        ),
        *(
            NOARCH.leaf_key(DIGEST),
            NOARCH.tree_key(DIGEST),
            NOARCH.commit_key(DIGEST),
            NOARCH.shard_key(DIGEST),
        ),
        *(f"{SUBDIR.shards.prefix}{name}" for name in ("README", "a-1-0.conda", DIGEST)),
        f"{SUBDIR.shards.prefix}{DIGEST}.msgpack",
        f"{SUBDIR.shards.prefix}{DIGEST.upper()}.msgpack.zst",
        f"{SUBDIR.shards.prefix}{DIGEST[1:]}.msgpack.zst",
        f"{SUBDIR.shards.prefix}0{DIGEST}.msgpack.zst",
        f"{SUBDIR.shards.prefix}{DIGEST}.msgpack.zst/{DIGEST}.msgpack.zst",
        f"{SUBDIR.shards.prefix}{SUBDIR.shard_key(DIGEST)}",
        f"{SUBDIR.prefix}old/shards/{DIGEST}.msgpack.zst",
        *(f"{SUBDIR.leaves.prefix}{DIGEST}{suffix}" for suffix in ("", ".json", ".msgpack.zst~")),
        SUBDIR.staging_key(A, "1"),
        SUBDIR.unreadable_staging_key(SUBDIR.staging_key(A, "1")),
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
    world.channel.upload(SUBDIR.shard_key(DIGEST), b"theirs")
    world.add_corrupt(C, b"one")
    world.merge()
    first = generation(world)
    world.add_corrupt(C, b"two")
    world.merge()
    collect_garbage(world)
    world.tick(10 * RETENTION_DAYS * DAY)
    collect_garbage(world)
    assert immutable(world) == generation(world) | {SUBDIR.shard_key(DIGEST)}
    assert not first & immutable(world)


def test_shards_of_an_index_that_was_taken_over_stay_for_those_who_still_hold_it() -> None:
    world = World()
    world.index_as_others_do(B, shards=b"theirs")
    world.channel.upload(SUBDIR.shard_key(DIGEST), b"their shard")
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
    assert SUBDIR.shard_key(DIGEST) in immutable(world)
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
    world.channel.upload(SUBDIR.file_key(SHARD_INDEX), b"not msgpack")
    world.merge()
    collect_garbage(world)
    shards = {key for key in first if SUBDIR.shards.digest_of(key)}
    (kept,) = world.state.keys(SUBDIR.taken_over_indexes.prefix)
    assert immutable(world) == shards | second | {kept}
    world.tick((RETENTION_DAYS + 2) * DAY)
    collect_garbage(world)
    assert immutable(world) == second


def test_while_the_published_files_are_behind_nothing_is_asked_or_deleted() -> None:
    world, *_ = two_generations()
    collect_garbage(world)
    world.tick(RETENTION_DAYS * DAY)
    world.channel.upload(SUBDIR.file_key(REPODATA), b"of another tool")
    before = immutable(world)
    assert published_at(world, world.head()) is None
    count = requests(world.state, world.channel)
    assert collect_garbage(world) == CollectedGarbage()
    assert requests(world.state, world.channel) == count + 1  # the head, by the test
    assert immutable(world) == before


def test_without_a_head_there_is_nothing_to_collect() -> None:
    world = World()
    version = read_head(world.state, SUBDIR)
    collector = GarbageContext(world.channel, world.state, RETENTION_DAYS, lambda: world.now_ms)
    catalog = CatalogReader(world.state, SUBDIR, in_order)
    assert collect_subdir_garbage(
        collector, SUBDIR, version, catalog, published_at=world.now_ms, dry_run=False
    ) == (CollectedGarbage())
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
        assert collect_garbage(world, retention_days=30) == CollectedGarbage()
        world.tick(DAY)
    assert immutable(world) == before


def test_a_head_that_somebody_put_back_starts_the_count_anew() -> None:
    world, first, second = two_generations()
    old, etag = world.head(), world.state.objects[SUBDIR.head_key]
    world.add(A, b"three")
    world.merge()
    third = generation(world)
    collect_garbage(world)
    world.tick((RETENTION_DAYS - 1) * DAY)
    world.state.objects[SUBDIR.head_key] = etag
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
