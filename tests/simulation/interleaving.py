"""Two merges of one subdir, cut into each other at every pair of requests; or one and a person.

The FIFO group makes that rare (an invocation that outlives its visibility timeout, a throttled
one that starts late), but nothing makes it impossible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from testkit.scheduler import Stage
from tests.simulation.world import Event, World

IMMUTABLE = ("leaves/", "trees/", "commits/")


def any_request(_operation: str, _key: str) -> bool:
    """Cut at every request."""
    return True


def contended(_operation: str, key: str) -> bool:
    """Cut only where it can make a difference.

    What is named by its content is written before anything refers to it, never changed and never
    listed: such a request commutes with all that others do.
    """
    return not key.startswith(IMMUTABLE) and "/shards/" not in key


@dataclass(frozen=True, slots=True)
class Story:
    """What happens in the world while two merges run."""

    begin: Callable[[], World]
    """The world as the older merge finds it."""
    first: Sequence[Event] = ()
    """What happens where the older merge pauses and the younger one starts."""
    second: Sequence[Event] = ()
    """What happens where the younger merge pauses."""
    older: Event = World.merge
    """What the older merge is, if it is none but a person's command."""
    younger: Event = World.merge
    """The same of the younger."""

    @property
    def has_person(self) -> bool:
        """Whether one of both is a person's command, which asks for a merge."""
        return not self.older == self.younger == World.merge


@dataclass(frozen=True, slots=True)
class Cut:
    """One schedule: the older merge makes ``older`` requests, then the younger ``younger``."""

    older: int
    younger: int
    older_ends_first: bool


def explore(
    story: Story, *, counts: Callable[[str, str], bool] = any_request
) -> Iterator[tuple[Cut, World]]:
    """Play every schedule of a story; raises ``AssertionError``, with the schedule as a note."""
    begin = story.begin()
    for older in count():
        for younger in count():
            for older_ends_first in (True, False):
                cut = Cut(older, younger, older_ends_first)
                world = begin.copy()
                try:
                    older_done, younger_done = _play(world, story, cut, counts)
                except AssertionError as error:
                    error.add_note(f"schedule: {cut}")
                    raise
                yield cut, world
                if older_done or younger_done:  # then there is only one order
                    break
            if younger_done:
                break
        if older_done:
            break


def _play(
    world: World, story: Story, cut: Cut, counts: Callable[[str, str], bool]
) -> tuple[bool, bool]:
    """Play one schedule and check it; tells which merges were over before their pause."""
    with Stage(
        world.channel, world.state, world.queue, on_step=world.check_step, counts=counts
    ) as stage:
        older = stage.actor(partial(story.older, world))
        younger = stage.actor(partial(story.younger, world))
        older.run(cut.older)
        for event in story.first:
            event(world)
        younger.run(cut.younger)
        for event in story.second:
            event(world)
        done = older.done, younger.done
        for merge in (older, younger) if cut.older_ends_first else (younger, older):
            merge.finish()
    if (story.second and cut.younger) or story.has_person:
        # The queue still holds a request: for these events, which come after the younger merge has
        # begun, or the person's.
        world.merge()
    world.check_at_rest()
    return done
