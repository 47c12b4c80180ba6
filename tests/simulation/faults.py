"""One fault at one request of one merge: its process dies there, or an answer is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from sluice.errors import Unavailable
from testkit.memory_store import LostAnswer, ignore
from testkit.scheduler import Hooked, Killed
from tests.simulation.world import INDEX_FILES, World


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the n-th request of a merge, and whether S3 has made it by then."""

    failure: type[BaseException]
    request: int
    landed: bool


def disturb_everywhere(begin: Callable[[], World]) -> Iterator[tuple[Fault, World]]:
    """Put each fault at each request in turn, then let the queue deliver the request again.

    Checks that nothing is inconsistent on the way and that the outcome is byte for byte that of
    an undisturbed merge; raises ``AssertionError``, with the fault as a note.
    """
    before = begin()
    after = before.copy()
    after.merge()
    after.check_at_rest()
    for failure in (Killed, LostAnswer):
        for landed in (False, True):
            for request in count():
                fault = Fault(failure, request, landed)
                world = before.copy()
                try:
                    struck = _disturb(world, fault)
                    _check_one_or_the_other(world, before, after)
                    if struck:
                        world.merge()
                    world.check_at_rest()
                    assert world.published() == after.published(), "the outcome differs"
                    assert world.queue.messages == after.queue.messages
                except AssertionError as error:
                    error.add_note(f"fault: {fault}")
                    raise
                if not struck:
                    break
                yield fault, world


def _disturb(world: World, fault: Fault) -> bool:
    """Run a merge with a fault; tells whether it got as far as that."""
    requests = count()
    struck = pending = False

    def before(_operation: str, _key: str) -> None:
        nonlocal struck, pending
        if struck and fault.failure is Killed:
            raise Killed  # the dead make no requests
        if next(requests) == fault.request:
            struck, pending = True, fault.landed
            if not fault.landed:
                raise fault.failure

    def after(_operation: str, _key: str) -> None:
        nonlocal pending
        world.check_step()
        if pending:
            pending = False
            raise fault.failure

    hooked: list[Hooked] = [world.channel, world.state, world.queue]
    for one in hooked:
        one.before, one.after = before, after
    with contextlib.suppress(Killed, Unavailable):
        world.merge()
    for one in hooked:
        one.before = one.after = ignore
    return struck


def _check_one_or_the_other(world: World, before: World, after: World) -> None:
    """Each index file is either the one that stood before or the one of the finished merge."""
    for file in INDEX_FILES:
        found = world.published().get(file)
        allowed = before.published().get(file), after.published().get(file)
        assert found in allowed, f"{file} is neither the old one nor the new one"
