"""Whatever happens between any two requests of reconcile, the index ends up as the bucket is.

Reconcile is stopped before each of its requests in turn, and there an upload, a deletion, a merge
or another reconcile comes in between, or the function dies, or gets no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from sluice.errors import Unavailable
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from sluice.reconcile.run import ReconcileRequest, start_run
from testkit.memory_store import LostAnswer
from tests.support.reconcile_runs import CORRUPT, ReconcileRuns, is_quiet
from tests.support.request_hooks import ProcessKilled
from tests.support.staging_records import A2, SUBDIR, A, B, C
from tests.support.subdir_world import PLENTY_MS, World

D = "delta-1.0-0.conda"

Event = Callable[[ReconcileRuns], None]


def make() -> ReconcileRuns:
    """A channel with one difference of every kind."""
    world = World()
    for filename in (A, A2, B):
        world.add(filename)
    world.merge()
    world.deliver()
    world.tick(60)
    assert is_quiet(ReconcileRuns(world).run())  # the index files are remembered from here on
    world.tick(60)
    world.upload(C, b"missing")
    world.upload(A, b"changed")
    world.remove(B)
    world.channel.remove(SUBDIR.file_key(REPODATA))
    world.add_corrupt(D)
    return ReconcileRuns(world)


def requests(runs: ReconcileRuns, happen: Callable[[], None], *, at: int, after: bool) -> None:
    """Let something happen before (or after) the request of that number, once."""
    world, number = runs.world, count()
    stores = (world.channel, world.state, world.queue, runs.uploads, runs.continuations)
    when = "after" if after else "before"

    def hook(_operation: str, _key: str) -> None:
        if next(number) == at:
            for store in stores:
                setattr(store, when, lambda _operation, _key: None)
            happen()

    for store in stores:
        setattr(store, when, hook)


def how_many() -> int:
    """How many requests a run makes when nothing comes in between."""
    runs = make()
    met: list[str] = []
    requests(runs, lambda: None, at=-1, after=False)
    for store in (runs.world.channel, runs.world.state):
        store.requests.clear()
    runs.world.queue.before = lambda operation, _key: met.append(operation)
    runs.uploads.before = lambda operation, _key: met.append(operation)
    runs.run()
    return len(met) + len(runs.world.channel.requests) + len(runs.world.state.requests)


REQUESTS = how_many()


def settle(runs: ReconcileRuns) -> None:
    """Let everything that was asked for be done, and a day later another run as well."""
    for _ in range(2):
        runs.handle_requests()
        runs.world.tick(24 * 3600)
        runs.run()
    runs.handle_requests()
    runs.world.tick(24 * 3600)
    report = runs.run()
    assert is_quiet(report) or report.counts.collected, report


def check(runs: ReconcileRuns) -> None:
    """Hold the index against the bucket."""
    world = runs.world
    there = {
        key.removeprefix(SUBDIR.prefix): stored.body
        for key, stored in world.channel.objects.items()
        if key.startswith(SUBDIR.prefix) and key.endswith((".conda", ".tar.bz2"))
    }
    assert {name: record["size"] for name, record in world.published().items()} == {
        name: len(body) for name, body in there.items() if not body.startswith(CORRUPT)
    }
    bad = {name for name, body in there.items() if body.startswith(CORRUPT)}
    # There need not be a document while there never was a reject.
    told = world.rejects() if bad or SUBDIR.rejects_key in world.state.objects else []
    assert {reject["filename"] for reject in told} == bad
    assert world.staged() == []


def upload_and_index(runs: ReconcileRuns) -> None:
    """Upload packages whose events come in time."""
    world = runs.world
    for filename in (A, C, "epsilon-1.0-0.conda"):
        world.add(filename, b"in between " + filename.encode())
    world.merge()


def delete_and_index(runs: ReconcileRuns) -> None:
    """Delete packages; the events come in time."""
    for filename in (A, C):
        runs.world.drop(filename)
    runs.world.merge()


def upload_unheard(runs: ReconcileRuns) -> None:
    """Upload packages, the one that is to be removed among them; no event comes."""
    for filename in (A, A2, B, C):
        runs.world.upload(filename, b"unheard " + filename.encode())


def delete_unheard(runs: ReconcileRuns) -> None:
    """Delete everything; no event comes."""
    for filename in (A, A2, C, D):
        runs.world.remove(filename)


def repair(runs: ReconcileRuns) -> None:
    """Let another run come in between, and all that it asks for be done."""
    other = ReconcileRuns(runs.world)
    other.run()
    other.handle_requests()


def meddle(runs: ReconcileRuns) -> None:
    """Let another tool write over one index file, and somebody delete another."""
    runs.world.channel.upload(SUBDIR.file_key(REPODATA_ZST), b"of another tool")
    runs.world.channel.remove(SUBDIR.file_key(SHARD_INDEX))


EVENTS: list[Event] = [
    upload_and_index,
    delete_and_index,
    upload_unheard,
    delete_unheard,
    meddle,
    repair,
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_what_comes_in_between_is_never_undone(event: Event) -> None:
    for at in range(REQUESTS):
        runs = make()
        requests(runs, lambda: event(runs), at=at, after=False)  # noqa: B023 - called now
        runs.run()
        settle(runs)
        check(runs)


@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_dies_leaves_nothing_that_the_next_cannot_repair(*, after: bool) -> None:
    def die() -> None:
        raise ProcessKilled

    for at in range(REQUESTS):
        runs = make()
        requests(runs, die, at=at, after=after)
        with pytest.raises(ProcessKilled):
            runs.run()
        settle(runs)
        check(runs)


@pytest.mark.parametrize("after", [False, True])
def test_a_request_without_an_answer_fails_a_subdir_or_the_step(*, after: bool) -> None:
    def lose() -> None:
        raise LostAnswer

    for at in range(REQUESTS):
        runs = make()
        requests(runs, lose, at=at, after=after)
        try:
            report = start_run(runs.reconciler, ReconcileRequest(), time_left_ms=lambda: PLENTY_MS)
        except Unavailable:
            pass
        else:
            assert report.counts.failed <= 1
        settle(runs)
        check(runs)
