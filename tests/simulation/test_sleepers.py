"""Whoever sleeps for days between two requests begins again instead of naming what is gone.

A laptop is closed over night, a container is paused, a virtual machine is moved.  Meanwhile the
collector deletes what is a day old and unreachable: what the sleeper has written, or what it was
about to read.  Here somebody sleeps once, at each request in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import pytest

import sluice.merge.generation_writer
from sluice.admin.changes.pins import pin, unpin
from sluice.admin.changes.rollback import rollback
from sluice.admin.standalone.index import IndexOptions, index
from sluice.admin.verify.findings import Defect
from sluice.admin.verify.repair import repair
from sluice.admin.verify.verify import verify
from sluice.concurrency import in_order
from sluice.errors import NotFound
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.run import start_run
from testkit.memory_queue import MemoryQueue
from testkit.memory_store import ignore
from tests.support.standalone_channel import LINUX, OWNER, StandaloneChannel, package

HOUR = 60 * 60
DAY = 24 * HOUR
RETENTION_DAYS = 7
PLENTY_MS = 900_000
ALPHA, BETA, GAMMA, DELTA = (package(name) for name in ("alpha", "beta", "gamma", "delta"))
ALPHA_AGAIN = package("alpha", timestamp=1_700_000_000_000)

_REQUESTS_MIN = 8
"""Of everything that is done here."""
_REASONS = ("has been garbage-collected", "has no generation", "is not pinned")
"""What an operator may be told: what others did meanwhile may make his wish void."""

Work = Callable[[StandaloneChannel], object]


def with_history() -> StandaloneChannel:
    """Two generations, the second published for longer than the first has to be kept."""
    world = StandaloneChannel()
    world.upload(ALPHA, BETA)
    world.index()
    world.index()  # sees what is published: from here on the collector counts
    world.upload(ALPHA_AGAIN)
    world.index()
    world.index()
    world.tick((RETENTION_DAYS + 1) * DAY)
    return world


def with_an_upload() -> StandaloneChannel:
    """The same, and there is something to index."""
    world = with_history()
    world.upload(GAMMA)
    return world


def with_a_pin() -> StandaloneChannel:
    """The same, with a file that is kept out."""
    world = StandaloneChannel()
    world.upload(ALPHA, BETA)
    world.index()
    world.index()
    pin(world.channel, LINUX, [BETA.filename], reason="It crashes.")
    world.index()
    world.index()
    world.tick((RETENTION_DAYS + 1) * DAY)
    return world


def with_damage() -> StandaloneChannel:
    """The same, with a leaf of the head that is lost."""
    world = with_history()
    (finding,) = lose_a_leaf(world)
    assert finding is Defect.LEAF_DAMAGED
    return world


def lose_a_leaf(world: StandaloneChannel) -> list[Defect]:
    """Lose a leaf that the head reaches, and say what is found of it."""
    for key in world.state.keys(LINUX.leaves.prefix):
        lost = world.state.objects.pop(key)
        if kinds := [one.kind for one in verify(world.channel).findings]:
            return kinds
        world.state.objects[key] = lost
    raise AssertionError("no leaf is reached")


def index_it(world: StandaloneChannel) -> None:
    """Run ``sluice index``, and leave the garbage to reconcile."""
    report = world.index(IndexOptions(retention_days=RETENTION_DAYS, collects=False))
    reasons = [one.reason for one in report.failures]
    assert all("The next run repeats the comparison" in reason for reason in reasons), reasons


def repair_it(world: StandaloneChannel) -> None:
    """Repair what is found."""
    repair(
        world.channel,
        verify(world.channel).findings,
        IndexOptions(subdirs_at_once=1),
        **world.one_reader(),
    )


WORKS: dict[str, tuple[Callable[[], StandaloneChannel], Work]] = {
    "index": (with_an_upload, index_it),
    "rollback": (with_history, lambda world: rollback(world.channel, LINUX, 1)),
    "pin": (
        with_history,
        lambda world: pin(world.channel, LINUX, [BETA.filename], reason="It crashes."),
    ),
    "unpin": (with_a_pin, lambda world: unpin(world.channel, LINUX, [BETA.filename])),
    "repair": (with_damage, repair_it),
}
ALL = [pytest.param(*work, id=name) for name, work in WORKS.items()]


def reconcile(world: StandaloneChannel) -> None:
    """Run the reconcile of a stack on the same state, and nothing of what it asks for."""
    queue = MemoryQueue()
    start_run(
        ReconcileContext(
            channel=world.public,
            state=world.state,
            bucket=world.channel.bucket,
            uploads=Nowhere(),
            merge_queue=queue,
            continuations=queue,
            executor=in_order,
            clock=world.channel.clock,
            new_id=world.channel.new_id,
            debounce_seconds=10,
            owner=OWNER,
            retention_days=RETENTION_DAYS,
        ),
        ReconcileRequest(),
        time_left_ms=lambda: PLENTY_MS,
    )


class Nowhere:
    """An UploadQueue that nobody reads."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """See ``UploadQueue.send_all``."""


def garbage_is_collected(world: StandaloneChannel) -> None:
    """A bit more than a day passes, and the daily reconcile comes."""
    world.tick(27 * HOUR)
    reconcile(world)


def others_go_on(world: StandaloneChannel) -> None:
    """Somebody else indexes, so often that nothing is left of what there was."""
    for one in (DELTA, package("alpha", timestamp=1), package("beta", timestamp=1)):
        world.upload(one)
        for _ in range(2):
            world.tick()
            index(world.channel, IndexOptions(subdirs_at_once=1), **world.one_reader())
    world.tick((RETENTION_DAYS + 2) * DAY)
    reconcile(world)


def sleeping_once(
    begin: Callable[[], StandaloneChannel], work: Work, meanwhile: Work
) -> Iterator[tuple[StandaloneChannel, frozenset[str]]]:
    """As many worlds as the work has requests, and what was collected that is of no generation.

    In each, that happens at one of them.
    """
    for number in count():
        world = begin()
        stores = (world.public, world.state)
        known = frozenset(world.state.objects)
        collected: set[str] = set()
        requests = count()
        slept = False

        def sleep(_operation: str, _key: str) -> None:
            nonlocal slept
            if slept or next(requests) < number:  # noqa: B023 - called at once
                return
            slept = True
            for store in stores:  # noqa: B023
                store.before = ignore
            before = frozenset(world.state.objects)  # noqa: B023
            meanwhile(world)  # noqa: B023
            collected.update(before - known - world.state.objects.keys())  # noqa: B023

        for store in stores:
            store.before = sleep
        try:
            work(world)
        except NotFound as error:
            assert any(reason in str(error) for reason in _REASONS)  # noqa: PT017
        if not slept:
            assert number > _REQUESTS_MIN
            return
        yield world, frozenset(collected)


def come_to_rest(world: StandaloneChannel) -> None:
    """Index what is there, and hold everything against everything else."""
    for _ in range(2):
        world.index(IndexOptions(retention_days=RETENTION_DAYS))
    if verify(world.channel).findings:
        repair_it(world)
    assert verify(world.channel, deep=True).findings == []


def damaged(world: StandaloneChannel) -> list[str]:
    """What the head names and is not there."""
    kinds = {Defect.COMMIT_DAMAGED, Defect.TREE_DAMAGED, Defect.LEAF_DAMAGED, Defect.SHARD_DAMAGED}
    return [one.object for one in verify(world.channel).findings if one.kind in kinds]


@pytest.mark.parametrize(("begin", "work"), ALL)
def test_nobody_names_what_was_collected_while_he_slept(
    begin: Callable[[], StandaloneChannel], work: Work
) -> None:
    kinds = set()
    for world, collected in sleeping_once(begin, work, garbage_is_collected):
        kinds |= {key.partition("/")[0] for key in collected}
        assert not damaged(world)
        come_to_rest(world)
    assert kinds >= {"commits", "trees"}, "the collector has to come to what was written"


@pytest.mark.parametrize(("begin", "work"), ALL)
def test_nobody_calls_damaged_what_others_have_superseded_while_he_slept(
    begin: Callable[[], StandaloneChannel], work: Work
) -> None:
    for world, _ in sleeping_once(begin, work, others_go_on):
        assert not damaged(world)
        come_to_rest(world)


def test_without_a_deadline_the_head_would_name_what_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sluice.merge.generation_writer, "SWAP_SECONDS_MAX", 100 * DAY)
    for name, (begin, work) in WORKS.items():
        worlds = (world for world, _ in sleeping_once(begin, work, garbage_is_collected))
        assert any(damaged(world) for world in worlds), name
