"""The worlds that simulations begin with, and what happens in them while merges run."""

from __future__ import annotations

from tests.simulation.interleaving import Story
from tests.simulation.world import (
    CORRUPT,
    World,
    asks_for_run_exports,
    content,
    pins_out,
    removes,
    rolls_back,
    stages,
    stages_late,
    uploads,
)

KEPT, ONE, TWO, LATER = (f"{name}-1-0.conda" for name in ("kept", "one", "two", "later"))
OVER, GONE, SPOILT = (f"{name}-1-0.conda" for name in ("over", "gone", "spoilt"))
NEW, BAD = (f"{name}-1-0.conda" for name in ("new", "bad"))
OLD = [f"old-{number}-0.conda" for number in range(20)]


def indexed() -> World:
    """A subdir with two packages in its index and nothing on the way."""
    world = World()
    world.publish(KEPT, ONE)
    return world


def with_upload() -> World:
    """The same, and one upload that waits for a merge."""
    world = indexed()
    world.upload(TWO)
    world.stage(TWO)
    return world


def nothing_new() -> World:
    """The same, and a record that will change nothing."""
    world = indexed()
    world.stage(ONE)
    return world


def first_commit() -> World:
    """A subdir with its first upload."""
    world = World()
    world.upload(ONE)
    world.stage(ONE)
    return world


def first_commit_over_foreign() -> World:
    """A subdir that another tool has indexed, and the first upload that sluice sees."""
    world = World()
    world.index_as_others_do(OLD)
    world.upload(ONE)
    world.stage(ONE)
    return world


def batch_of_everything() -> World:
    """New, overwritten, removed, spoilt and never good, waiting together for one merge."""
    world = World()
    world.publish(KEPT, OVER, GONE, SPOILT)
    world.upload(NEW)
    world.upload(OVER, b"other")
    world.remove(GONE)
    world.upload(SPOILT, CORRUPT)
    world.upload(BAD, CORRUPT)
    for filename in (NEW, OVER, GONE, SPOILT, BAD):
        world.stage(filename)
    return world


def without_run_exports_any_more() -> World:
    """A subdir with ``run_exports.json``, which the configuration asks for no longer."""
    world = indexed()
    world.ask_for_run_exports(wanted=True)
    world.merge()
    world.ask_for_run_exports(wanted=False)
    return world


REMOVED_AND_BACK = Story(with_upload, [removes(ONE), stages(ONE)], [uploads(ONE), stages(ONE)])
REMOVED_BEFORE_INDEXED = Story(with_upload, [removes(TWO), stages(TWO)])
FIRST_OVER_FOREIGN = Story(first_commit_over_foreign, [removes(OLD[7]), stages(OLD[7])])
SWITCHED_ON_AGAIN = Story(without_run_exports_any_more, [asks_for_run_exports(wanted=True)])

STORIES = {
    "removed before it was ever indexed": REMOVED_BEFORE_INDEXED,
    "removed and uploaded again before the younger merge": Story(
        with_upload, [removes(ONE), stages(ONE), uploads(ONE), stages(ONE)]
    ),
    "overwritten by something corrupt, and repaired": Story(
        with_upload, [uploads(ONE, CORRUPT), stages(ONE)], [uploads(ONE, b"good"), stages(ONE)]
    ),
    "removed, and an extract that saw it before writes last": Story(
        with_upload, [removes(TWO), stages(TWO), stages_late(TWO, content(TWO))]
    ),
    "back, and an extract that saw it gone writes last": Story(
        with_upload, [stages_late(ONE, None), stages_late(TWO, None)]
    ),
    "news that change nothing": Story(nothing_new, [removes(ONE), stages(ONE)]),
    "first upload, removed and uploaded again": Story(
        first_commit, [removes(ONE), stages(ONE)], [uploads(ONE), stages(ONE)]
    ),
    "first upload into another tool's index of twenty": FIRST_OVER_FOREIGN,
    "a file that is switched off and on again": SWITCHED_ON_AGAIN,
}


def in_two_generations() -> World:
    """Two packages of generation 1, what came after that, and an upload that waits."""
    world = World()
    world.publish(KEPT, OVER)
    world.upload(OVER, b"worse")
    world.stage(OVER)
    world.publish(ONE)
    world.upload(TWO)
    world.stage(TWO)
    return world


GO_BACK = rolls_back(1, ONE, OVER)
BY_HAND = {
    "gone back to generation 1 while a merge is at work": Story(in_two_generations, older=GO_BACK),
    "gone back while a merge that is older is at work": Story(in_two_generations, younger=GO_BACK),
    "gone back while what is rolled back is overwritten": Story(
        in_two_generations, [uploads(ONE, b"better"), stages(ONE)], older=GO_BACK
    ),
    "gone back while what is rolled back is overwritten, by an older merge": Story(
        in_two_generations, [uploads(ONE, b"better"), stages(ONE)], younger=GO_BACK
    ),
    "gone back while what is rolled back is removed, and comes again": Story(
        in_two_generations,
        [removes(ONE), stages(ONE)],
        [uploads(ONE, b"better"), stages(ONE)],
        older=GO_BACK,
    ),
    "gone back while what stays is removed, and comes again": Story(
        in_two_generations,
        [removes(OVER), stages(OVER)],
        [uploads(OVER), stages(OVER)],
        older=GO_BACK,
    ),
    "pinned while it is overwritten": Story(
        with_upload, [uploads(ONE, b"other"), stages(ONE)], older=pins_out(ONE)
    ),
    "pinned before it is ever indexed": Story(
        with_upload, [stages_late(TWO, content(TWO))], younger=pins_out(TWO)
    ),
    "two people, who go back and pin": Story(
        in_two_generations, older=GO_BACK, younger=pins_out(ONE, TWO)
    ),
}
