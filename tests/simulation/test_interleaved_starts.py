"""Two invocations that start the same run of reconcile at once: one does, wherever they cut.

EventBridge Scheduler invokes at least once, and Lambda runs what it is asked to side by side.
"""

from __future__ import annotations

from functools import partial
from itertools import count

import pytest

from sluice.layout import reconcile_report_key
from sluice.reconcile.context import ReconcileRequest
from sluice.reconcile.run_claim import StartedRun, start_once
from testkit.scheduler import Loses, Stage
from testkit.system import System

NOW_MS = 1_750_000_000_000
KEYS = ("a/noarch/alpha-1.0-0.conda", "b/noarch/alpha-1.0-0.conda")


def world() -> System:
    """A bucket whose comparison takes more than one step."""
    system = System(NOW_MS)
    system.upload(dict.fromkeys(KEYS, b"corrupt"))
    return system


def start(system: System, invocation: str) -> StartedRun:
    left = iter([900_000])
    return start_once(
        system.reconciler,
        ReconcileRequest(),
        invocation=invocation,
        time_left_ms=lambda: next(left, 0),
    )


def check(system: System, *started: StartedRun) -> None:
    """One of them is new, all are of the same run, and there is one chain of it."""
    assert [one.is_new for one in started].count(True) == 1, started
    assert len({one.report.run for one in started}) == 1
    assert len(system.steps.messages) == 1
    system.deliver_steps()
    of_runs = [key for key in system.state.keys("reconciliations/") if key.count("/") == 1]
    assert len(of_runs) == 1
    (first, second) = sorted(system.uploads.bodies)  # each package once
    assert first != second


def test_of_two_starts_cut_into_each_other_at_any_request_one_wins() -> None:
    schedules = 0
    for older_steps in count():
        for younger_steps in count():
            system = world()
            with Stage(system.channel, system.state, system.uploads, system.steps) as stage:
                older = stage.actor(partial(start, system, "older"))
                younger = stage.actor(partial(start, system, "younger"))
                older.run(older_steps)
                younger.run(younger_steps)
                over = older.done, younger.done
                results = [actor.finish() for actor in (older, younger)]
            check(system, *results)
            schedules += 1
            if over[1]:
                break
        if over[0]:
            break
    assert schedules > 40


@pytest.mark.parametrize("loses", Loses)
def test_a_claim_whose_answer_was_lost_is_known_as_ones_own_or_the_others(loses: Loses) -> None:
    system = world()
    with Stage(system.channel, system.state, system.uploads, system.steps) as stage:
        older = stage.actor(partial(start, system, "older"))
        older.run_to("PutObject", ".json")
        older.lose(loses)
        younger = stage.actor(partial(start, system, "younger"))
        results = [younger.finish(), older.finish()]
    check(system, *results)


def test_a_start_that_is_killed_is_made_up_for_by_the_next_attempt_of_its_invocation() -> None:
    for steps in count():
        system = world()
        with Stage(system.channel, system.state, system.uploads, system.steps) as stage:
            actor = stage.actor(partial(start, system, "the same"))
            actor.run(steps)
            over = actor.done
            actor.kill()
        if over:
            break
        again = start(system, "the same")
        assert again.is_new
        system.deliver_steps()
        assert reconcile_report_key(again.report.run) in system.state.keys("reconciliations/")
