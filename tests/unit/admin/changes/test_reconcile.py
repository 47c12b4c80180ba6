from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from sluice.admin.changes.reconcile import reconcile_channel
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.errors import Misused, Unavailable
from sluice.layout import reconcile_report_key
from sluice.reconcile.cursor import Cursor
from sluice.reconcile.report import ReconcileReport, StepReport, encode_report
from sluice.reconcile.run import parse_reconcile_request
from sluice.storage.object_headers import PRIVATE_JSON_HEADERS
from tests.support.admin_channel import admin_channel
from tests.support.fake_stack import FakeFunctions, stack_of, with_clients
from tests.support.subdir_world import World

RUN = "2026-11-27T140000Z-01234567"


def _report(world: World, steps: int, *, finished: bool, request: Any = None) -> ReconcileReport:
    """A run as far as so many steps got."""
    report = ReconcileReport(
        run=RUN,
        started_at=world.now_ms,
        request=parse_reconcile_request(request or {"channel": ""}),
    )
    for number in range(1, steps + 1):
        last = finished and number == steps
        step = StepReport(next=None if last else Cursor())
        report.add_step(number, step, at=world.now_ms)
    return report


def _channel(world: World, function: Callable[[Any], Any]) -> Channel:
    aws = with_clients(Aws(region="us-east-1"), functions=FakeFunctions(function))
    return replace(admin_channel(world), stack=stack_of(aws))


def _keep(world: World, report: ReconcileReport) -> None:
    world.state.put(reconcile_report_key(report.run), encode_report(report), PRIVATE_JSON_HEADERS)


def test_a_run_is_followed_to_its_end() -> None:
    world = World()
    asked: list[Any] = []

    def function(request: Any) -> Any:
        asked.append(request)
        _keep(world, _report(world, 1, finished=False))
        return msgspec.to_builtins(_report(world, 1, finished=False))

    waits = 0

    def wait() -> None:
        nonlocal waits
        waits += 1
        _keep(world, _report(world, min(waits, 3), finished=waits >= 3))

    seen: list[int] = []
    found = reconcile_channel(
        _channel(world, function), wait=wait, on_progress=lambda it: seen.append(len(it.steps))
    )
    assert found.finished_at is not None
    assert len(found.steps) == 3
    assert seen == [1, 1, 2]
    assert asked == [{"channel": "Conda/Default"}]


def test_what_is_asked_for_is_passed_on_as_the_function_reads_it() -> None:
    world = World()
    asked: list[Any] = []

    def function(request: Any) -> Any:
        asked.append(parse_reconcile_request(request))
        return msgspec.to_builtins(_report(world, 1, finished=True, request=request))

    reconcile_channel(
        _channel(world, function),
        "linux-64",
        dry_run=True,
        re_extract=True,
        adopt=True,
        wait=lambda: pytest.fail("it has ended already"),
    )
    (request,) = asked
    assert (request.channel, request.subdir) == ("Conda/Default", "linux-64")
    assert (request.dry_run, request.re_extract, request.adopt) == (True, True, True)


def _fails(error: Exception) -> Callable[[Any], Any]:
    def function(_request: Any) -> Any:
        raise error

    return function


class UnknownEvent(Exception):
    """As the function's own is called."""


def test_a_request_that_the_function_refuses_is_the_askers_fault() -> None:
    channel = _channel(World(), _fails(UnknownEvent("it lies outside of CHANNEL_PREFIXES")))
    with pytest.raises(Misused, match="it lies outside of CHANNEL_PREFIXES"):
        reconcile_channel(channel, wait=lambda: None)


def test_a_function_that_fails_is_named_with_its_reason() -> None:
    channel = _channel(World(), _fails(ValueError("S3 is away")))
    with pytest.raises(Unavailable, match="reconcile: S3 is away"):
        reconcile_channel(channel, wait=lambda: None)


def test_a_run_that_does_not_go_on_is_given_up() -> None:
    world = World()
    _keep(world, _report(world, 1, finished=False))
    channel = _channel(world, lambda _: msgspec.to_builtins(_report(world, 1, finished=False)))
    with pytest.raises(Unavailable, match="has made no progress for 45 minutes"):
        reconcile_channel(channel, wait=lambda: world.tick(60))


def test_a_channel_without_a_stack_has_nobody_to_run_it() -> None:
    with pytest.raises(Misused, match="name it"):
        reconcile_channel(admin_channel(World()), wait=lambda: None)
