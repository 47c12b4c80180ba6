"""A channel of a state belongs to one bucket: what binds it, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from sluice.admin.changes.pins import pin
from sluice.admin.changes.rollback import rollback
from sluice.admin.verify.repair import repair
from sluice.catalog.binding import binding_object
from sluice.errors import WrongState
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, channel_binding_key
from sluice.merge.merge import merge
from sluice.messages.merge_request import MergeRequest
from sluice.publish.bucket_check import BucketCheck
from sluice.publish.publisher import Publisher
from sluice.reconcile.run import ReconcileRequest
from testkit.memory_store import MemoryStore, Stored
from tests.support.admin_channel import admin_channel
from tests.support.reconcile_runs import ReconcileRuns
from tests.support.request_hooks import at_request
from tests.support.staging_records import SUBDIR, A, B, removed
from tests.support.subdir_world import BUCKET, OWNER, PLENTY_MS, World

CHANNEL = SUBDIR.channel
OTHER = "another-bucket"
FILES = (REPODATA, REPODATA_ZST, SHARD_INDEX)


def bound_to(world: World) -> str | None:
    binding = binding_object(world.state, CHANNEL).read().value
    return binding.bucket if binding else None


def two_packages() -> World:
    """A channel of one subdir: its noarch, which would be evidence as well, is lost."""
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    for store in (world.state, world.channel):
        for key in filter(re.compile("/noarch").search, store.keys()):
            store.remove(key)
    return world


def as_left_by_0_1(world: World) -> World:
    world.state.remove(channel_binding_key(CHANNEL))
    return world


def check_of(world: World, *, bucket: str = BUCKET, owner: str = OWNER) -> BucketCheck:
    return BucketCheck(world.merger, bucket, owner)


def led_to(world: World, store: MemoryStore, bucket: str = OTHER) -> None:
    """Have the parameters lead to another bucket."""
    world.channel = store
    world.merger = replace(
        world.merger,
        channel=store,
        bucket=bucket,
        publisher=Publisher(store, world.state, OWNER, max_age_seconds=60),
    )


def empty_bucket(world: World) -> MemoryStore:
    return MemoryStore(lambda: world.now_ms / 1000)


def copy_of_the_bucket(world: World) -> MemoryStore:
    """A restored bucket: the same objects, each written now."""
    world.tick(3600)
    copy = empty_bucket(world)
    for key, stored in world.channel.objects.items():
        copy.put(key, stored.body, stored.headers)
    return copy


def everything(world: World) -> tuple[dict[str, Stored], dict[str, Stored]]:
    return dict(world.state.objects), dict(world.channel.objects)


# --- the first commit -----------------------------------------------------------------------------


@pytest.mark.parametrize("upload", [World.add, World.add_corrupt])
def test_the_first_commit_binds_the_channel_to_its_bucket(
    upload: Callable[[World, str], object],
) -> None:
    world = World()
    world.stage(removed(B))
    world.merge()
    assert bound_to(world) is None, "of no object anything is known"
    upload(world, A)
    world.merge()
    assert bound_to(world) == BUCKET


def test_a_merge_that_commits_nothing_binds_nothing() -> None:
    world = World()
    world.merge()
    ReconcileRuns(world).run()
    assert bound_to(world) is None


def test_the_binding_is_there_before_the_first_head() -> None:
    world = World()
    world.add(A)
    world.merge()
    written = [key for operation, key in world.state.operations() if operation == "PutObject"]
    assert written.index(channel_binding_key(CHANNEL)) < written.index(SUBDIR.head_key)


def test_what_is_left_of_a_killed_first_commit_binds_nothing() -> None:
    world = World(subdir=replace(SUBDIR, name="noarch"))
    request = MergeRequest(world.subdir, not_before=0, create=True)
    merge(world.merger, request, time_left_ms=lambda: PLENTY_MS)
    assert (world.state.objects, world.channel.objects) == ({}, {})


def test_the_binding_is_there_before_noarch_is_asked_for() -> None:
    world = World()
    world.add(A)
    world.state.before = at_request(
        "PutObject", channel_binding_key(CHANNEL), lambda: sent.append(len(queue))
    )
    queue, sent = world.queue.messages, list[int]()
    world.merge()
    assert (sent, len(queue)) == ([0], 1)


def test_of_two_first_commits_from_two_buckets_one_is_refused() -> None:
    world = World()
    check, other = check_of(world), check_of(world, bucket=OTHER)
    assert (check.ensure_bound(CHANNEL), other.ensure_bound(CHANNEL)) == (False, False)
    other.bind(CHANNEL)
    with pytest.raises(WrongState, match=rf"is bound to the bucket {OTHER}, not to {BUCKET}"):
        check.bind(CHANNEL)
    assert bound_to(world) == OTHER


def test_channels_of_one_state_may_lie_in_different_buckets() -> None:
    world = two_packages()
    other = check_of(world, bucket=OTHER)
    other.bind("crew")
    assert other.ensure_bound("crew")
    assert check_of(world).ensure_bound(CHANNEL)


# --- a channel that is bound ----------------------------------------------------------------------


WRITERS: dict[str, Callable[[World], object]] = {
    "merge": lambda world: merge(
        world.merger, MergeRequest(SUBDIR, not_before=0), time_left_ms=lambda: PLENTY_MS
    ),
    "rollback": lambda world: rollback(admin_channel(world), SUBDIR, 1),
    "pin": lambda world: pin(admin_channel(world), SUBDIR, [A], reason="x"),
    "repair": lambda world: repair(admin_channel(world), []),
}


@pytest.mark.parametrize("name", WRITERS)
def test_who_writes_beside_a_head_is_refused_and_nothing_changes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = two_packages()
    world.drop(A)
    world.merge()
    led_to(world, empty_bucket(world))
    monkeypatch.setattr("tests.support.admin_channel.BUCKET", OTHER)
    before = everything(world)
    with pytest.raises(WrongState) as refused:
        WRITERS[name](world)
    assert everything(world) == before
    assert BUCKET in str(refused.value)
    assert OTHER in str(refused.value)
    assert f"sluice rebind s3://{OTHER}/{CHANNEL}" in str(refused.value)


def test_reconcile_of_another_bucket_stages_nothing_and_counts_it() -> None:
    world = two_packages()
    led_to(world, empty_bucket(world))
    runs = ReconcileRuns(world)
    runs.reconciler = replace(runs.reconciler, bucket=OTHER)
    world.queue.messages.clear()
    before = set(world.state.objects)
    report = runs.run()
    assert (report.counts.wrong_state, report.counts.removals) == (1, 0)
    added = world.state.objects.keys() - before
    assert {key.partition("/")[0] for key in added} == {"reconciliations"}
    assert world.queue.messages == []


def test_it_is_checked_by_each_merge_and_not_once_per_process() -> None:
    world = two_packages()
    world.merge()
    world.state.remove(channel_binding_key(CHANNEL))
    check_of(world, bucket=OTHER).bind(CHANNEL)
    world.add("gamma-1.0-0.conda")
    with pytest.raises(WrongState):
        world.merge()


def test_it_is_checked_after_the_head_was_read() -> None:
    """Rebind replaces the binding and then moves the head, so this order sees one of both."""
    world = two_packages()
    world.add("gamma-1.0-0.conda")
    world.state.requests.clear()
    world.merge()
    reads = [key for operation, key in world.state.operations() if operation == "GetObject"]
    assert reads.index(SUBDIR.head_key) < reads.index(channel_binding_key(CHANNEL))


# --- a state of 0.1, which has no binding ---------------------------------------------------------


def test_a_catalog_without_a_binding_is_bound_to_the_bucket_that_shows_its_index() -> None:
    world = as_left_by_0_1(two_packages())
    assert check_of(world).ensure_bound(CHANNEL)
    assert bound_to(world) == BUCKET


@pytest.mark.parametrize("file", FILES)
def test_any_one_index_file_is_evidence(file: str) -> None:
    world = as_left_by_0_1(two_packages())
    for other in set(FILES) - {file}:
        world.channel.remove(SUBDIR.file_key(other))
    assert check_of(world).ensure_bound(CHANNEL)


def no_index(world: World) -> MemoryStore:
    for file in FILES:
        world.channel.remove(SUBDIR.file_key(file))
    return world.channel


def index_of_another_state(world: World) -> MemoryStore:
    led_to(world, world.channel, BUCKET)
    for file in FILES:
        key = SUBDIR.file_key(file)
        stored = world.channel.objects[key]
        metadata = {**stored.headers.metadata, "sluice-owner": "another-state"}
        world.channel.put(key, stored.body, replace(stored.headers, metadata=metadata))
    return world.channel


def index_of_an_unknown_tree(world: World) -> MemoryStore:
    for file in FILES:
        key = SUBDIR.file_key(file)
        stored = world.channel.objects[key]
        metadata = {**stored.headers.metadata, "sluice-tree": "0" * 64}
        world.channel.put(key, stored.body, replace(stored.headers, metadata=metadata))
    return world.channel


@pytest.mark.parametrize(
    "bucket",
    [
        empty_bucket,
        copy_of_the_bucket,
        no_index,
        index_of_another_state,
        index_of_an_unknown_tree,
    ],
)
def test_without_evidence_nothing_is_bound_and_nothing_changes(
    bucket: Callable[[World], MemoryStore],
) -> None:
    world = as_left_by_0_1(two_packages())
    world.add("gamma-1.0-0.conda")
    led_to(world, bucket(world))
    before = everything(world)
    with pytest.raises(WrongState, match=r"is not bound to a bucket, .* sluice rebind s3://"):
        world.merge()
    assert everything(world) == before


def test_a_channel_without_packages_needs_no_package_as_evidence() -> None:
    world = two_packages()
    world.drop(A)
    world.drop(B)
    world.merge()
    as_left_by_0_1(world)
    assert check_of(world).ensure_bound(CHANNEL)
    assert bound_to(world) == BUCKET


@pytest.mark.parametrize("bucket", [empty_bucket, copy_of_the_bucket])
def test_a_catalog_of_rejects_alone_is_bound_where_they_are(
    bucket: Callable[[World], MemoryStore],
) -> None:
    world = World()
    world.add_corrupt(B)
    world.merge()
    as_left_by_0_1(world)
    production, other = world.channel, bucket(world)
    led_to(world, other)
    with pytest.raises(WrongState):
        world.merge()
    led_to(world, production, BUCKET)
    assert check_of(world).ensure_bound(CHANNEL)
    assert bound_to(world) == BUCKET


def test_who_only_reads_sees_the_evidence_and_binds_nothing() -> None:
    world = as_left_by_0_1(two_packages())
    assert replace(check_of(world), may_bind=False).ensure_bound(CHANNEL)
    assert bound_to(world) is None


def test_a_dry_run_of_reconcile_binds_nothing_and_a_run_does() -> None:
    world = as_left_by_0_1(two_packages())
    assert ReconcileRuns(world).run(ReconcileRequest(dry_run=True)).counts.wrong_state == 0
    assert bound_to(world) is None
    ReconcileRuns(world).run()
    assert bound_to(world) == BUCKET
