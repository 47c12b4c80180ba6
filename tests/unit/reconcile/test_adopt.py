"""A channel that another stack publishes: left alone, or taken over when somebody says so."""

from __future__ import annotations

import json

import pytest

from sluice.errors import ForeignOwner
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from sluice.messages import merge_request
from sluice.publish.fence import Stamp
from sluice.reconcile.report import Counts
from sluice.reconcile.run import ReconcileRequest
from tests.support.reconcile_runs import ReconcileRuns, is_quiet, subdir_reports
from tests.support.staging_records import A2, NOARCH, SUBDIR, A, B, C
from tests.support.subdir_world import OWNER, World

OTHER = "another-state-bucket"
ADOPT = ReconcileRequest(adopt=True)


@pytest.fixture
def world() -> World:
    """A channel that another stack publishes; our own state bucket is still empty."""
    world = World(owner=OTHER)
    for filename in (A, A2, B):
        world.add(filename)
    world.merge()
    world.deliver()
    world.tick(60)
    world.state.objects = {}
    world.merger = world.owned_by(OWNER)
    return world


@pytest.fixture
def runs(world: World) -> ReconcileRuns:
    return ReconcileRuns(world)


def owners(world: World, subdir: Subdir = SUBDIR) -> list[str]:
    """Who publishes each of the index files."""
    infos = [
        world.channel.objects[subdir.file_key(file)].info
        for file in (SHARD_INDEX, REPODATA_ZST, REPODATA)
    ]
    return [stamp.owner for stamp in (Stamp.parse(info.metadata) for info in infos) if stamp]


def test_it_is_left_alone_and_told_of(runs: ReconcileRuns) -> None:
    world = runs.world
    before = dict(world.channel.objects)
    report = runs.run()
    assert report.counts == Counts(subdirs=1, foreign_owner=1)
    (one,) = subdir_reports(report)
    assert one.failure
    assert f"the state {OTHER} publishes" in one.failure
    assert runs.requeued_keys() == []
    assert world.queue.messages == []
    assert world.channel.objects == before


def test_one_such_channel_does_not_stop_the_others(runs: ReconcileRuns) -> None:
    runs.world.channel.upload(f"a/noarch/{C}", b"")
    runs.world.channel.upload(f"z/noarch/{C}", b"")
    report = runs.run()
    assert (report.counts.foreign_owner, report.counts.fed) == (1, 2)


def test_a_state_that_has_begun_is_no_licence_either(runs: ReconcileRuns) -> None:
    world = runs.world
    world.add(C)
    with pytest.raises(ForeignOwner):
        world.merge()
    assert runs.run().counts == Counts(subdirs=1, foreign_owner=1)
    assert owners(world) == [OTHER] * 3


def test_it_is_taken_over_with_all_that_it_holds_and_knows(runs: ReconcileRuns) -> None:
    world = runs.world
    before = world.published()
    generation = json.loads(world.body())["sluice"]["generation"]
    report = runs.run(ADOPT)
    # Everything is fed, since our catalog knows nothing of it yet; noarch is asked to follow.
    assert report.counts == Counts(subdirs=1, objects=3, missing=3, fed=3, merges=2)
    asked = [merge_request.parse_merge_request(message.body) for message in world.queue.messages]
    assert [(request.subdir, request.adopt) for request in asked] == [
        (SUBDIR, True),
        (NOARCH, True),
    ]
    runs.handle_requests()
    assert world.published() == before
    assert world.tree().generation > generation
    assert owners(world) == owners(world, NOARCH) == [OWNER] * 3
    assert is_quiet(runs.run())
    assert is_quiet(runs.run(ADOPT))


def test_it_is_taken_over_before_anything_is_read_again(runs: ReconcileRuns) -> None:
    world = runs.world
    before = world.published()
    runs.run(ADOPT)
    world.deliver()
    assert world.published() == before
    assert owners(world) == [OWNER] * 3
    assert runs.run().counts.outdated == 3


def test_a_channel_of_ours_that_another_stack_took_over_can_be_taken_back() -> None:
    world = World()
    for filename in (A, A2):
        world.add(filename)
    world.merge()
    world.deliver()
    ours, state = world.merger, world.state.objects
    world.state.objects, world.merger = {}, world.owned_by(OTHER)
    world.add(B)
    world.merge(adopt=True)
    world.state.objects, world.merger = state, ours
    assert owners(world) == [OTHER] * 3
    world.tick(60)
    runs = ReconcileRuns(world)
    assert runs.run().counts.foreign_owner == 1
    report = runs.run(ADOPT)
    assert (report.counts.missing, report.counts.behind) == (1, 3)
    runs.handle_requests()
    assert set(world.published()) == {A, A2, B}
    assert owners(world) == [OWNER] * 3
    assert is_quiet(runs.run())


def test_what_another_stack_has_collected_is_written_anew_when_it_is_taken_back() -> None:
    world = World()
    for filename in (A, A2, C):
        world.add(filename)
    world.merge()
    world.deliver()
    ours, state = world.merger, world.state.objects
    shards = world.channel.keys(SUBDIR.shards.prefix)
    world.state.objects, world.merger = {}, world.owned_by(OTHER)
    world.add(B)
    world.merge(adopt=True)
    world.channel.delete(shards)  # as the other stack's collection does in time
    world.state.objects, world.merger = state, ours
    world.tick(60)
    runs = ReconcileRuns(world)
    runs.run(ADOPT)
    runs.handle_requests()
    assert owners(world) == [OWNER] * 3
    assert set(world.published_in_shards()) == set(world.published()) == {A, A2, B, C}
    assert is_quiet(runs.run())


def test_the_other_stack_stops_once_it_has_been_taken_over_from(runs: ReconcileRuns) -> None:
    world = runs.world
    runs.run(ADOPT)
    runs.handle_requests()
    world.add(C)
    ours, world.merger = world.merger, world.owned_by(OTHER)
    with pytest.raises(ForeignOwner):
        world.merge()
    world.merger = ours
    world.merge()
    assert set(world.published()) == {A, A2, B, C}


def test_to_adopt_where_nothing_is_another_stacks_does_nothing() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.deliver()
    runs = ReconcileRuns(world)
    assert is_quiet(runs.run(ADOPT))
    assert world.queue.messages == []


def test_a_channel_is_written_anew_once_however_much_is_staged_when_it_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sluice.merge.merge.MERGE_BATCH_RECORDS_MAX", 1)
    world = World()
    for filename in (A, C):
        world.add(filename)
    world.merge()
    ours, state = world.merger, world.state.objects
    world.state.objects, world.merger = {}, world.owned_by(OTHER)
    world.merge(adopt=True)
    world.state.objects, world.merger = state, ours
    for number in range(3):
        world.add(f"beta-{number}-0.conda")
    before = len(world.state.keys(SUBDIR.leaves.prefix))
    world.merge(adopt=True)
    names_before, leaves_of_news = 2, 3
    after = len(world.state.keys(SUBDIR.leaves.prefix))
    assert after - before == names_before + leaves_of_news
    assert owners(world) == [OWNER] * 3
    assert len(world.published()) == 5


def test_a_request_to_adopt_creates_nothing_where_there_is_nothing_to_adopt() -> None:
    world = World()
    world.upload(A, b"")
    world.merge(adopt=True)
    assert world.state.keys() == []
    assert world.channel.keys() == [SUBDIR.file_key(A)]


def test_a_dry_run_tells_what_would_be_adopted(runs: ReconcileRuns) -> None:
    world = runs.world
    before = dict(world.channel.objects)
    report = runs.run(ReconcileRequest(adopt=True, dry_run=True))
    assert report.counts == Counts(subdirs=1, objects=3, missing=3, fed=3, merges=2)
    assert world.queue.messages == []
    assert world.channel.objects == before
