"""Two merges at once: no ghost, no loss, no older index over a newer one, nothing goes back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

import pytest

from sluice.catalog.commit import decode_commit
from sluice.layout import channel_binding_key
from sluice.storage.object_store import ETag, ObjectHeaders
from testkit.memory_store import MemoryStore
from testkit.scheduler import Loses, Stage
from tests.simulation.interleaving import any_request, contended, explore
from tests.simulation.stories import (
    KEPT,
    LATER,
    ONE,
    REMOVED_AND_BACK,
    STORIES,
    TWO,
    indexed,
    nothing_new,
    with_upload,
)
from tests.simulation.world import INDEX_FILES, SUBDIR, World

CONDITIONAL = (SUBDIR.head_key, *INDEX_FILES)


def on_stage(world: World) -> Stage:
    return Stage(world.channel, world.state, world.queue, on_step=world.check_step)


# --- every schedule ---------------------------------------------------------------------------


def test_two_merges_cut_at_every_pair_of_requests_while_a_package_goes_and_comes_back() -> None:
    schedules = sum(1 for _ in explore(REMOVED_AND_BACK, counts=any_request))
    assert schedules > 400


@pytest.mark.parametrize("name", STORIES)
def test_wherever_two_merges_cut_into_each_other_the_index_comes_out_right(name: str) -> None:
    schedules = sum(1 for _ in explore(STORIES[name], counts=contended))
    assert schedules > 100


# --- the holes that earlier drafts had --------------------------------------------------------


def test_a_merge_that_changes_nothing_fences_an_older_one_that_still_would() -> None:
    """The older one saw a package whose removal has been consumed by the time it commits."""
    world = with_upload()
    epoch = world.head()["epoch"]
    with on_stage(world) as stage:
        older = stage.actor(world.merge)
        older.run_to("PutObject", SUBDIR.head_key)
        world.remove(TWO)
        world.stage(TWO)
        younger = stage.actor(world.merge).finish()
        assert younger.difference.added == younger.difference.removed == []
        assert world.head()["epoch"] == epoch + 1
        assert older.finish().difference.added == []
    world.check_at_rest()


@pytest.mark.parametrize("loses", Loses)
@pytest.mark.parametrize("file", INDEX_FILES)
def test_a_publisher_knows_its_own_write_whose_answer_was_lost(file: str, loses: Loses) -> None:
    world = with_upload()
    made = len(world.channel.requests)
    with on_stage(world) as stage:
        merge = stage.actor(world.merge)
        merge.run_to("PutObject", file)
        merge.lose(loses)
        report = merge.finish()
    assert report.foreign_overwritten == 0
    assert report.files_written == 3
    arrived = world.channel.operations()[made:].count(("PutObject", SUBDIR.file_key(file)))
    assert arrived == 1  # a request that was lost never got to S3
    world.check_at_rest()


@pytest.mark.parametrize("loses", Loses)
@pytest.mark.parametrize("file", INDEX_FILES)
def test_a_publisher_whose_answer_was_lost_leaves_a_younger_index_alone(
    file: str, loses: Loses
) -> None:
    world = with_upload()
    with on_stage(world) as stage:
        older = stage.actor(world.merge)
        older.run_to("PutObject", file)
        older.lose(loses)
        world.upload(LATER)
        world.stage(LATER)
        younger = stage.actor(world.merge).finish()
        assert older.finish().foreign_overwritten == younger.foreign_overwritten == 0
    world.check_at_rest()


def test_no_name_and_no_published_bytes_recur_when_content_does() -> None:
    world = indexed()
    published = [world.published()]
    nodes = [node_keys(world)]
    for _ in range(2):
        world.remove(ONE)
        world.stage(ONE)
        world.merge()
        published.append(world.published())
        world.upload(ONE)
        world.stage(ONE)
        world.merge()
        published.append(world.published())
        nodes.append(node_keys(world) - set().union(*nodes))
    world.check_at_rest()
    for file in INDEX_FILES:
        assert len({files[file] for files in published}) == len(published)
    # Each return of the same package: one leaf and one shard; two generations, two trees.
    assert [len(new) for new in nodes[1:]] == [1 + 1 + 2 + 2] * 2


def node_keys(world: World) -> set[str]:
    """Everything that is named by its content."""
    shards = world.channel.keys(SUBDIR.file_key("shards/"))
    kinds = ("leaves/", "trees/", "commits/")
    return {*shards, *(key for kind in kinds for key in world.state.keys(kind))}


# --- a head swap without an answer ------------------------------------------------------------


@pytest.mark.parametrize("loses", Loses)
def test_a_swap_of_the_head_without_an_answer_is_made_exactly_once(loses: Loses) -> None:
    world = with_upload()
    generation = world.head()["generation"]
    with on_stage(world) as stage:
        merge = stage.actor(world.merge)
        merge.run_to("PutObject", SUBDIR.head_key)
        merge.lose(loses)
        assert merge.finish().difference.added == [TWO]
    assert world.head()["generation"] == generation + 1
    world.check_at_rest()


@pytest.mark.parametrize("loses", Loses)
def test_a_younger_merge_may_come_before_the_answer_is_settled(loses: Loses) -> None:
    world = with_upload()
    with on_stage(world) as stage:
        older = stage.actor(world.merge)
        older.run_to("PutObject", SUBDIR.head_key)
        older.lose(loses)
        world.upload(LATER)
        world.stage(LATER)
        stage.actor(world.merge).finish()
        older.finish()
    world.check_at_rest()
    assert sorted(history(world)) == sorted([KEPT, ONE, TWO, LATER])


def history(world: World) -> list[str]:
    """What the commits say was added, from the last to the first."""
    added: list[str] = []
    digest = world.head()["commit"]
    while digest is not None:
        commit = decode_commit(world.state.body(SUBDIR.commit_key(digest)), what="commit")
        added += commit.added
        digest = commit.parent
    return added


def test_of_two_merges_that_change_nothing_only_one_takes_the_swap_for_its_own() -> None:
    """But for the writer in it, both would write the same head."""
    world = nothing_new()
    before = world.head()
    with on_stage(world) as stage:
        older, younger = stage.actor(world.merge), stage.actor(world.merge)
        older.run_to("PutObject", SUBDIR.head_key)
        younger.run_to("PutObject", SUBDIR.head_key)
        younger.finish()
        after = world.head()
        world.state.requests.clear()
        older.finish()
    assert world.state.operations()[:5] == [
        ("PutObject", SUBDIR.head_key),  # lost
        ("GetObject", SUBDIR.head_key),  # read back
        ("GetObject", SUBDIR.head_key),  # and started over
        ("GetObject", channel_binding_key(SUBDIR.channel)),
        ("ListObjectsV2", SUBDIR.staging_prefix),
    ]
    assert world.head() == after
    assert (after["generation"], after["epoch"]) == (before["generation"], before["epoch"] + 1)
    world.check_at_rest()


# --- writes that land late --------------------------------------------------------------------


class SlowNetwork(MemoryStore):
    """Holds back one conditional write: its sender gives up on it, S3 has yet to see it."""

    def __init__(self, store: MemoryStore, key: str) -> None:
        vars(self).update(vars(store))
        self.held_back: list[Callable[[], ETag | None]] = []
        self._key = key

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        not_after_ms: int | None = None,
    ) -> ETag | None:
        """See ``ObjectStore.put_if``."""
        write = partial(
            super().put_if,
            key,
            body,
            headers,
            expected=expected,
            not_after_ms=not_after_ms,
        )
        if key.endswith(self._key) and not self.held_back:
            self.held_back.append(write)
            return None
        return write()


@pytest.mark.parametrize("younger_first", [True, False], ids=["after-younger", "before-younger"])
@pytest.mark.parametrize("key", CONDITIONAL)
def test_a_conditional_write_that_lands_late_does_no_harm(key: str, *, younger_first: bool) -> None:
    begin = with_upload()
    ever_held_back = False
    for steps in count():
        world = begin.copy()
        slow_state = SlowNetwork(world.state, key)
        slow_channel = SlowNetwork(world.channel, key)
        world.state, world.channel = slow_state, slow_channel
        with on_stage(world) as stage:
            older = stage.actor(world.merge)
            older.run(steps)
            held_back = slow_state.held_back + slow_channel.held_back
            world.upload(LATER)
            world.stage(LATER)
            younger = stage.actor(world.merge)
            if younger_first:
                younger.finish()
            ever_held_back |= bool(held_back)
            for write in held_back:
                write()
            world.check_step()
            done = older.done
            younger.finish()
            older.finish()
        world.check_at_rest()
        if done:
            break
    assert ever_held_back
