"""A run of reconcile: a chain of steps, each one invocation, that goes on through ReconcileQueue.

A step works for as long as its function has time to spare, then writes its part of the run's
report, then sends for the next.  The queue has one group, so steps never overlap.  One that is
delivered again finds its part in the report, and does nothing but send for the next once more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from sluice import layout
from sluice.catalog.brake import check_digest
from sluice.conda.names import is_subdir
from sluice.errors import DECODE_ERRORS, TooNew, UnknownEvent
from sluice.layout import Subdir
from sluice.limits import RECONCILE_TIME_RESERVE_MS
from sluice.reconcile import report as reports
from sluice.reconcile.context import Reconciler, Request
from sluice.reconcile.cursor import Cursor, Unfinished
from sluice.reconcile.discover import Discovery
from sluice.reconcile.listing import Listing
from sluice.reconcile.report import Report, StepReport
from sluice.reconcile.subdir import reconcile
from sluice.storage import object_headers
from sluice.storage.queue import message_body

__all__ = ["Reconciler", "Report", "Request", "parse_request", "proceed", "start"]

FORMAT = 1
GROUP = "reconcile"


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """A step to be done, as ReconcileQueue holds it."""

    run: str
    step: int
    started_at: int
    request: Request
    cursor: Cursor
    format: int = FORMAT


class _Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request as people write it.  A word that is misspelt must not be taken for no word."""

    channel: str | None = None
    subdir: str | None = None
    dry_run: bool = False
    re_extract: bool = False
    adopt: bool = False
    confirm: str | None = None


def parse_request(payload: object) -> Request:
    """Read what the function was invoked with; raises ``UnknownEvent``, saying what is wrong."""
    try:
        wish = msgspec.convert(payload, _Wish)
    except msgspec.ValidationError as error:
        raise UnknownEvent(f"not a request to reconcile: {error}") from error
    if wish.subdir is not None and wish.channel is None:
        raise UnknownEvent('a subdir needs a channel ("" for the one at the root of the bucket)')
    if wish.subdir is not None and not is_subdir(wish.subdir):
        raise UnknownEvent(f"{wish.subdir!r} is not the name of a subdir")
    if wish.channel is not None and wish.channel != wish.channel.strip("/"):
        raise UnknownEvent(f"the channel {wish.channel!r} must not begin or end with a slash")
    if wrong := check_digest(wish.confirm):
        raise UnknownEvent(wrong)
    return Request(**msgspec.structs.asdict(wish))


def start(world: Reconciler, request: Request, *, time_left_ms: Callable[[], int]) -> Report:
    """Begin a run and return its report as far as it got.

    Raises ``UnknownEvent`` for a request that lies outside of the prefixes, and ``Unavailable``
    where subdirs cannot be looked for, or the report cannot be kept.
    """
    _check_prefixes(world, request)
    now = world.clock()
    run = _Message(
        run=_name_run(now, world.unique()),
        step=1,
        started_at=now,
        request=request,
        cursor=_begin(request),
    )
    report = Report(run=run.run, started_at=now, request=request)
    return _do(world, run, report, time_left_ms)


def proceed(world: Reconciler, body: str, *, time_left_ms: Callable[[], int]) -> Report:
    """Do the step that a message of ReconcileQueue is about; returns the run's report.

    Raises ``UnknownEvent`` and ``TooNew`` for a message that is none, and what ``start`` raises.
    """
    message = _parse(body)
    key = layout.reconciliation(message.run)
    stored = world.state.get(key)
    report = (
        reports.decode(stored.body, what=key)
        if stored
        else Report(run=message.run, started_at=message.started_at, request=message.request)
    )
    return _do(world, message, report, time_left_ms)


def _do(
    world: Reconciler, message: _Message, report: Report, time_left_ms: Callable[[], int]
) -> Report:
    step = report.steps.get(str(message.step))
    if step is None:
        step = _work(world, message, time_left_ms)
        report.take(message.step, step, at=world.clock())
        world.state.put(
            layout.reconciliation(report.run), reports.encode(report), object_headers.PRIVATE_JSON
        )
    if step.next is not None and str(message.step + 1) not in report.steps:
        _send(world, msgspec.structs.replace(message, step=message.step + 1, cursor=step.next))
    return report


def _work(world: Reconciler, message: _Message, time_left_ms: Callable[[], int]) -> StepReport:
    """Deal with one subdir after the other until time runs short."""
    step = StepReport()
    cursor = message.cursor

    def deal_with(begin: Unfinished, listing: Listing | None) -> Unfinished | None:
        part = reconcile(
            world, message.request, begin, listing, time_left_ms=time_left_ms, run=message.run
        )
        step.take(part.report)
        return part.rest

    def must_stop() -> bool:
        return time_left_ms() < RECONCILE_TIME_RESERVE_MS

    while cursor.unfinished:
        first, *others = cursor.unfinished
        rest = deal_with(first, None)
        cursor = _with(cursor, rest, *others)
        if rest or (must_stop() and (others or cursor.phase)):
            step.next = cursor
            return step
    discovery = Discovery(world.channel, world.state, world.prefixes, message.request.channel)
    for found in discovery.walk(cursor):
        rest = deal_with(Unfinished(found.subdir), found.listing) if found.subdir else None
        if rest or must_stop():
            step.next = _with(found.resume, rest, *found.resume.unfinished)
            return step
    return step


def _check_prefixes(world: Reconciler, request: Request) -> None:
    """Refuse what would find nothing, and so seem to be in order; raises ``UnknownEvent``."""
    if request.channel is None:
        return
    folder = f"{request.channel}/" if request.channel else ""
    if request.subdir is not None:
        inside = f"{folder}{request.subdir}/".startswith(world.prefixes)
    else:
        inside = any(folder.startswith(one) or one.startswith(folder) for one in world.prefixes)
    if not inside:
        raise UnknownEvent(f"the channel {request.channel!r} lies outside of CHANNEL_PREFIXES")


def _begin(request: Request) -> Cursor:
    if request.channel is None or request.subdir is None:
        return Cursor()
    return Cursor(unfinished=(Unfinished(Subdir(request.channel, request.subdir)),), phase=None)


def _with(cursor: Cursor, *unfinished: Unfinished | None) -> Cursor:
    return msgspec.structs.replace(cursor, unfinished=tuple(filter(None, unfinished)))


def _name_run(now_ms: int, unique: str) -> str:
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H%M%SZ}-{sha256(unique.encode()).hexdigest()[:8]}"


def _send(world: Reconciler, message: _Message) -> None:
    world.continuations.send(
        message_body(message),
        group=GROUP,
        deduplication_id=f"{message.run}|{message.step}",
    )


def _parse(body: str) -> _Message:
    try:
        message = msgspec.json.decode(body, type=_Message)
    except DECODE_ERRORS as error:
        raise UnknownEvent(f"not a step of reconcile: {error}") from error
    if message.format > FORMAT:
        raise TooNew(f"a step of reconcile of format {message.format}, this sluice knows {FORMAT}")
    return message
