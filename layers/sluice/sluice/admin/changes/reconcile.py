"""Starts a reconcile run of the stack, and follows it until it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from sluice import layout
from sluice.admin.session.aws import AWS_ERRORS
from sluice.admin.session.channel import Channel
from sluice.admin.session.stack import Stack
from sluice.errors import DECODE_ERRORS, Misused, Unavailable
from sluice.limits import RECONCILE_SILENCE_SECONDS_MAX
from sluice.reconcile import report as reports
from sluice.reconcile.report import ReconcileReport


def reconcile_channel(  # noqa: PLR0913 - each is a key of the request
    channel: Channel,
    subdir: str | None = None,
    *,
    dry_run: bool = False,
    re_extract: bool = False,
    adopt: bool = False,
    confirm: str | None = None,
    wait: Callable[[], None],
    on_progress: Callable[[ReconcileReport], None] = lambda _report: None,
) -> ReconcileReport:
    """Start a run over a channel, or one subdir of it, and return its report when it has ended.

    ``dry_run``: report the actions without carrying them out.  ``re_extract``: read every reject
    again.  ``adopt``: take over what another stack publishes.  ``confirm``: the digest of waiting
    removals that are to be carried out now.  ``wait`` is called between two reads of the report,
    and ``on_progress`` with each report that has more than the one before.

    The uploads to read again and the merges that the run requests continue after it has ended.

    Raises ``Misused`` for a channel without a stack, and for one that the stack does not index;
    ``Unavailable`` if the function fails, or a run does not continue.
    """
    if channel.stack is None:
        raise Misused("reconcile needs a stack: set --stack or SLUICE_STACK")
    request: dict[str, Any] = {"channel": channel.name}
    if subdir is not None:
        request["subdir"] = subdir
    if confirm is not None:
        request["confirm"] = confirm
    flags = {"dry_run": dry_run, "re_extract": re_extract, "adopt": adopt}
    report = _start_run(channel.stack, {**request, **{name: True for name in flags if flags[name]}})
    quiet_since = channel.clock()
    while report.finished_at is None:
        on_progress(report)
        wait()
        latest = _read_report(channel, report)
        if len(latest.steps) > len(report.steps):
            quiet_since = channel.clock()
        elif channel.clock() - quiet_since > RECONCILE_SILENCE_SECONDS_MAX * 1000:
            raise Unavailable(
                f"the run {report.run} has made no progress for "
                f"{RECONCILE_SILENCE_SECONDS_MAX // 60} minutes. Check the log of "
                "ReconcileFunction, and ReconcileDlq"
            )
        report = latest
    return report


def _start_run(stack: Stack, request: dict[str, Any]) -> ReconcileReport:
    name = stack.output("ReconcileFunctionName")
    try:
        response = stack.aws.functions.invoke(FunctionName=name, Payload=json.dumps(request))
        body = response["Payload"].read()
    except AWS_ERRORS as error:
        raise Unavailable(f"Invoke {name}: {stack.aws.explain(error)}") from error
    if "FunctionError" in response:
        raise _function_error(name, body)
    return reports.decode_report(body, what=f"the response of {name}")


def _function_error(name: str, body: bytes) -> Misused | Unavailable:
    """The function's error: an invalid request is the caller's fault."""
    try:
        error = msgspec.json.decode(body, type=dict[str, Any])
    except DECODE_ERRORS:
        return Unavailable(f"{name} failed without an error message. Check its log")
    kind, message = error.get("errorType"), error.get("errorMessage")
    return Misused(str(message)) if kind == "UnknownEvent" else Unavailable(f"{name}: {message}")


def _read_report(channel: Channel, report: ReconcileReport) -> ReconcileReport:
    key = layout.reconcile_report_key(report.run)
    stored = channel.state.get(key)
    if stored is None and not report.steps:
        return report  # somebody else has started it, and its first step is not over
    if stored is None:
        raise Unavailable(f"the report {key} no longer exists")
    return reports.decode_report(stored.body, what=key)
