"""A person and a merge at once: what is pinned out stays out until it is uploaded again.

All else is as with two merges: no ghost, no loss, and nothing goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import sluice.admin.changes.commit_edit
import sluice.admin.changes.rollback
from sluice.catalog.head import Head, head_object, read_head
from sluice.layout import Subdir
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ETag, ObjectStore
from testkit.scheduler import Killed, Stage
from tests.simulation.interleaving import contended, explore
from tests.simulation.planted_head import Swapped, head_object_with
from tests.simulation.stories import BY_HAND, GO_BACK, KEPT, ONE, TWO, in_two_generations
from tests.simulation.world import SUBDIR, World


@pytest.mark.parametrize("name", BY_HAND)
def test_wherever_a_person_and_a_merge_cut_into_each_other_the_index_comes_out_right(
    name: str,
) -> None:
    schedules = sum(1 for _ in explore(BY_HAND[name], counts=contended))
    assert schedules > 50


def test_whoever_dies_after_the_commit_leaves_a_request_for_its_merge() -> None:
    world = in_two_generations()
    with Stage(world.channel, world.state, world.queue, on_step=world.check_step) as stage:
        person = stage.actor(lambda: GO_BACK(world))
        person.run_to("PutObject", SUBDIR.head_key)
        person.kill_after_next()
        with pytest.raises(Killed):
            person.finish()
    assert world.queue.messages
    assert world.state.keys(SUBDIR.staging_prefix)
    world.merge()
    assert sorted(world.records() or ()) == [KEPT, TWO]


def test_whoever_dies_before_the_commit_has_changed_nothing() -> None:
    world = in_two_generations()
    with Stage(world.channel, world.state, world.queue, on_step=world.check_step) as stage:
        person = stage.actor(lambda: GO_BACK(world))
        person.run_to("PutObject", SUBDIR.head_key)
        person.kill()
    world.merge()
    assert ONE in (world.records() or ())
    world.check_at_rest()


# --- these bugs are found -----------------------------------------------------------------------


def every_story() -> None:
    for story in BY_HAND.values():
        for _ in explore(story, counts=contended):
            pass


def test_a_head_that_is_swapped_against_what_is_there_by_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def swap(
        state: ObjectStore,
        subdir: Subdir,
        head: Head,
        *,
        expected: ETag | None,
        not_after_ms: int | None,
    ) -> Swapped:
        del expected
        return head_object(state, subdir).swap(
            head, expected=read_head(state, subdir).etag, not_after_ms=not_after_ms
        )

    monkeypatch.setattr(sluice.admin.changes.commit_edit, "head_object", head_object_with(swap))
    with pytest.raises(AssertionError, match=r"the head went back|lost|is out of date|has ghosts"):
        every_story()


def test_a_rollback_that_pins_what_the_catalog_knows_and_not_what_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain: Callable[..., Any] = sluice.admin.changes.rollback.plan_name_rollback

    def plan_name_rollback(then: Any, now: Any, there: Any, **options: Any) -> Any:
        known: dict[str, ObjectId | None] = {
            name: now[name].identity if name in now and there[name] else there[name]
            for name in there
        }
        return plain(then, now, known, **options)

    monkeypatch.setattr(sluice.admin.changes.rollback, "plan_name_rollback", plan_name_rollback)

    def world() -> World:
        begun = in_two_generations()
        begun.upload(ONE, b"repeated")
        begun.stage(ONE)
        return begun

    begun = world()
    begun.roll_back(1, ONE)
    begun.merge()
    assert ONE in (begun.records() or ()), "the bug shows"
    monkeypatch.undo()
    begun = world()
    begun.roll_back(1, ONE)
    begun.merge()
    assert ONE not in (begun.records() or ())
