"""A request whose run is under way is not started twice, and no dead run holds up the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from sluice.errors import TooNew, Unavailable, UnknownEvent
from sluice.layout import Subdir, reconcile_report_key
from sluice.limits import RECONCILE_STEP_SILENCE_SECONDS_MAX
from sluice.reconcile.context import ReconcileRequest
from sluice.reconcile.run_claim import StartedRun, claim_object, start_once
from sluice.storage.object_headers import PRIVATE_JSON_HEADERS
from testkit.memory_store import LostAnswer
from testkit.system import System

NOW_MS = 1_750_000_000_000
KEYS = ("a/noarch/alpha-1.0-0.conda", "b/noarch/alpha-1.0-0.conda")
FUNCTION_MS = 900_000
EVERYTHING = ReconcileRequest()


def one_step() -> Callable[[], int]:
    """A function that has its time when it is invoked, and stops after its first subdir."""
    left = iter([FUNCTION_MS])
    return lambda: next(left, 0)


def plenty() -> int:
    return FUNCTION_MS


@pytest.fixture
def system() -> System:
    system = System(NOW_MS)
    system.upload(dict.fromkeys(KEYS, b"corrupt"))
    return system


@pytest.fixture
def invocations() -> Iterator[str]:
    return (f"invocation {number}" for number in range(1000))


@pytest.fixture
def start(system: System, invocations: Iterator[str]) -> Callable[..., StartedRun]:
    def start(
        request: ReconcileRequest = EVERYTHING,
        *,
        time_left_ms: Callable[[], int] | None = None,
        invocation: str | None = None,
    ) -> StartedRun:
        return start_once(
            system.reconciler,
            request,
            invocation=invocation or next(invocations),
            time_left_ms=time_left_ms or one_step(),
        )

    return start


Start = Callable[..., StartedRun]


def test_what_is_under_way_is_not_started_again_but_told(system: System, start: Start) -> None:
    first = start()
    assert (first.is_new, first.report.finished_at) == (True, None)
    sent = len(system.steps.messages)
    again = start()
    assert (again.is_new, again.report.run) == (False, first.report.run)
    assert again.report.steps == first.report.steps
    assert len(system.steps.messages) == sent


@pytest.mark.parametrize(
    "other",
    [
        ReconcileRequest(channel="a"),
        ReconcileRequest(channel="a", subdir="noarch"),
        ReconcileRequest(dry_run=True),
        ReconcileRequest(re_extract=True),
        ReconcileRequest(adopt=True),
        ReconcileRequest(confirm="1f2e3d4c5b6a"),
    ],
)
def test_another_request_is_started_all_the_same(start: Start, other: ReconcileRequest) -> None:
    first = start()
    second = start(other)
    assert second.is_new
    assert second.report.run != first.report.run


def test_what_has_ended_is_started_again(system: System, start: Start) -> None:
    first = start()
    system.deliver_steps()
    assert start().is_new
    done = start(ReconcileRequest(channel="a"), time_left_ms=plenty)
    assert done.report.finished_at is not None
    assert start(ReconcileRequest(channel="a")).report.run not in {
        first.report.run,
        done.report.run,
    }


def test_a_run_that_died_in_its_first_step_holds_nobody_up_for_longer_than_its_function_had(
    system: System, start: Start
) -> None:
    class Died(BaseException):
        pass

    def die() -> int:
        if system.state.keys("reconciliations/claims/"):
            raise Died
        return FUNCTION_MS

    with pytest.raises(Died):
        start(time_left_ms=die)
    system.tick(FUNCTION_MS // 1000 - 1)
    assert not start().is_new
    assert start().report.steps == {}
    system.tick(10)
    assert start().is_new


def test_a_run_whose_chain_has_broken_off_holds_nobody_up_for_ever(
    system: System, start: Start
) -> None:
    first = start()
    system.steps.messages.clear()
    system.tick(RECONCILE_STEP_SILENCE_SECONDS_MAX - 60)
    assert not start().is_new
    system.tick(120)
    assert start().is_new
    assert start().report.run != first.report.run


def test_lambda_that_tries_again_after_an_error_takes_over_from_its_own_attempt(
    start: Start,
) -> None:
    first = start(invocation="the same")
    again = start(invocation="the same")
    assert again.is_new
    assert again.report.run != first.report.run


def test_a_start_that_fails_leaves_the_request_free(system: System, start: Start) -> None:
    def lose(operation: str, _key: str) -> None:
        if operation == "ListObjectsV2":
            raise LostAnswer

    system.channel.before = lose
    with pytest.raises(Unavailable):
        start()
    system.channel.before = lambda _operation, _key: None
    assert start().is_new


def test_a_start_that_cannot_even_free_its_request_fails_with_its_own_error(
    system: System, start: Start
) -> None:
    def lose(_operation: str, _key: str) -> None:
        if system.state.keys("reconciliations/claims/"):
            raise LostAnswer

    system.channel.before = system.state.before = lose
    with pytest.raises(Unavailable) as caught:
        start()
    assert not str(caught.value).startswith("reconciliations/claims/")


def test_what_nobody_can_read_holds_nobody_up(system: System, start: Start) -> None:
    first = start()
    key = reconcile_report_key(first.report.run)
    system.state.put(key, b"?", PRIVATE_JSON_HEADERS)
    system.tick(FUNCTION_MS // 1000 + 10)
    second = start()
    assert second.is_new
    claim = claim_object(system.reconciler, EVERYTHING).key
    system.state.put(claim, b"?", PRIVATE_JSON_HEADERS)
    assert start().is_new


def test_the_claim_of_a_newer_sluice_is_left_alone(system: System, start: Start) -> None:
    claim = claim_object(system.reconciler, EVERYTHING).key
    system.state.put(claim, b'{"format": 99}', PRIVATE_JSON_HEADERS)
    with pytest.raises(TooNew):
        start()


def test_a_request_that_is_refused_claims_nothing(system: System, start: Start) -> None:
    ctx = replace(system.reconciler, prefixes=("a/",))
    with pytest.raises(UnknownEvent):
        start_once(ctx, ReconcileRequest(channel="b"), invocation="x", time_left_ms=plenty)
    assert system.state.keys("reconciliations/") == []
    assert start().is_new


def test_a_report_says_what_the_run_before_repaired(system: System, start: Start) -> None:
    assert start(time_left_ms=plenty).report.repairs_before == 0
    found = start(time_left_ms=plenty).report
    assert (found.repairs_before, found.counts.repaired) == (2, 2)
    system.run_until_idle()
    assert start(time_left_ms=plenty).report.repairs_before == 2
    system.run_until_idle()
    assert start(time_left_ms=plenty).report.repairs_before == 0


def test_runs_over_one_channel_go_on_beside_those_over_all(start: Start, system: System) -> None:
    system.upload({"a/linux-64/alpha-1.0-0.conda": b"corrupt"})
    for request in (EVERYTHING, ReconcileRequest(channel="a"), ReconcileRequest("a", "noarch")):
        start(request)
    groups = [message.group for message in system.steps.messages]
    assert groups == ["reconcile", "reconcile/a"]


@pytest.mark.parametrize("channel", ["", "team", "Conda/Default", "é" * 60, "c" * 400])
def test_the_group_of_any_channel_is_one_that_sqs_takes(channel: str) -> None:
    system = System(NOW_MS)
    for name in ("noarch", "linux-64"):
        system.upload({Subdir(channel, name).file_key("a-1-0.conda"): b"corrupt"})
    start_once(
        system.reconciler,
        ReconcileRequest(channel=channel),
        invocation="x",
        time_left_ms=one_step(),
    )
    (message,) = system.steps.messages
    assert message.group.isascii()
    assert len(message.group) <= 128
    assert " " not in message.group
