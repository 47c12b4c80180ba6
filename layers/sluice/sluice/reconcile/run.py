"""A run of reconcile: a chain of steps, each one invocation, continued through ReconcileQueue.

A step works while its function has time left.  Then it writes its part of the run's report, and
then it sends a message for the next step.  The queue has one group per requested channel, and one
for runs over all channels, so steps of a run never overlap, and nobody's run over one channel waits
for the run over all.  A step that is delivered again finds its part in the report, and only sends
that message again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from sluice import layout
from sluice.catalog.brake import describe_invalid_digest
from sluice.conda.names import NOARCH, is_subdir
from sluice.conda.timestamps import EpochMs
from sluice.errors import DECODE_ERRORS, TooNew, UnknownEvent
from sluice.extract.misplaced import MisplacedTally
from sluice.layout import Subdir, channel_file_key, parse_subdir_folder
from sluice.limits import RECONCILE_TIME_RESERVE_MS
from sluice.messages.merge_request import message_group
from sluice.reconcile import report as reports
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.cursor import Cursor, Unfinished
from sluice.reconcile.discover import Discovery
from sluice.reconcile.left_notes import channels_with_left_notes, request_channel_merge
from sluice.reconcile.listing import Listing
from sluice.reconcile.misplaced_record import write_misplaced_record
from sluice.reconcile.report import ReconcileReport, StepReport
from sluice.reconcile.subdir import reconcile_subdir
from sluice.storage import object_headers
from sluice.storage.queue import encode_message

__all__ = [
    "ReconcileContext",
    "ReconcileReport",
    "ReconcileRequest",
    "check_prefixes",
    "new_run_name",
    "parse_reconcile_request",
    "run_step",
    "start_run",
]

FORMAT = 1
GROUP = "reconcile"
"""The message group of runs over all channels."""


class _StepMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The message of a step in ReconcileQueue."""

    run: str
    step: int
    started_at: EpochMs
    request: ReconcileRequest
    cursor: Cursor
    format: int = FORMAT


class _RequestPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request as people write it.  A misspelled key must not be ignored."""

    channel: str | None = None
    subdir: str | None = None
    dry_run: bool = False
    re_extract: bool = False
    adopt: bool = False
    confirm: str | None = None


def parse_reconcile_request(payload: object) -> ReconcileRequest:
    """Parse the payload of an invocation; raises ``UnknownEvent``, which says what is wrong."""
    try:
        parsed = msgspec.convert(payload, _RequestPayload)
    except msgspec.ValidationError as error:
        raise UnknownEvent(f"not a reconcile request: {error}") from error
    if parsed.subdir is not None and parsed.channel is None:
        raise UnknownEvent(
            'a request with a subdir needs a channel ("" for the channel at the root of the bucket)'
        )
    if parsed.subdir is not None and not is_subdir(parsed.subdir):
        raise UnknownEvent(f"{parsed.subdir!r} is not the name of a subdir")
    if parsed.channel is not None and parsed.channel != parsed.channel.strip("/"):
        raise UnknownEvent(f"the channel {parsed.channel!r} must not begin or end with a slash")
    if parsed.channel is not None and not parse_subdir_folder(
        Subdir(parsed.channel, NOARCH).prefix[:-1]
    ):
        raise UnknownEvent(f"{parsed.channel!r} cannot be the path of a channel")
    if error_text := describe_invalid_digest(parsed.confirm):
        raise UnknownEvent(error_text)
    return ReconcileRequest(**msgspec.structs.asdict(parsed))


def start_run(
    ctx: ReconcileContext,
    request: ReconcileRequest,
    *,
    time_left_ms: Callable[[], int],
    name: str | None = None,
    repairs_before: int = 0,
) -> ReconcileReport:
    """Start a run, whether one is under way or not (see ``run_claim``); returns its report so far.

    ``name``: the run's; ``repairs_before``: what the run before it repaired.

    Raises ``UnknownEvent`` for a request outside the prefixes, and ``Unavailable`` if subdirs
    cannot be listed or the report cannot be stored.
    """
    check_prefixes(ctx, request)
    now = ctx.clock()
    run = _StepMessage(
        run=name or new_run_name(now, ctx.new_id()),
        step=1,
        started_at=now,
        request=request,
        cursor=_first_cursor(request),
    )
    report = ReconcileReport(
        run=run.run, started_at=now, request=request, repairs_before=repairs_before
    )
    return _run_once(ctx, run, report, time_left_ms)


def run_step(
    ctx: ReconcileContext, body: str, *, time_left_ms: Callable[[], int]
) -> ReconcileReport:
    """Run the step of a message of ReconcileQueue; returns the run's report.

    Raises ``UnknownEvent`` and ``TooNew`` for an invalid message, and the errors of ``start_run``.
    """
    message = _parse_message(body)
    key = layout.reconcile_report_key(message.run)
    stored = ctx.state.get(key)
    report = (
        reports.decode_report(stored.body, what=key)
        if stored
        else ReconcileReport(
            run=message.run, started_at=message.started_at, request=message.request
        )
    )
    return _run_once(ctx, message, report, time_left_ms)


def _run_once(
    ctx: ReconcileContext,
    message: _StepMessage,
    report: ReconcileReport,
    time_left_ms: Callable[[], int],
) -> ReconcileReport:
    step = report.steps.get(str(message.step))
    if step is None:
        step, misplaced = _reconcile_subdirs(ctx, message, time_left_ms)
        if step.next is None:
            _request_channel_merges(ctx, message.request, step)
        report.add_step(message.step, step, misplaced, at=ctx.clock())
        if step.next is None:
            _record_misplaced(ctx, report)
        ctx.state.put(
            layout.reconcile_report_key(report.run),
            reports.encode_report(report),
            object_headers.PRIVATE_JSON_HEADERS,
        )
    if step.next is not None and str(message.step + 1) not in report.steps:
        _send_next(ctx, msgspec.structs.replace(message, step=message.step + 1, cursor=step.next))
    return report


def _reconcile_subdirs(
    ctx: ReconcileContext, message: _StepMessage, time_left_ms: Callable[[], int]
) -> tuple[StepReport, MisplacedTally]:
    """Reconcile one subdir after the other until time runs short.

    Returns the report, and the misplaced files that were passed meanwhile.
    """
    step = StepReport()
    discovery = Discovery(ctx.channel, ctx.state, ctx.prefixes, message.request.channel)
    cursor = message.cursor

    def reconcile_one(resume_from: Unfinished, listing: Listing | None) -> Unfinished | None:
        result = reconcile_subdir(
            ctx, message.request, resume_from, listing, time_left_ms=time_left_ms, run=message.run
        )
        step.add_subdir(result.report)
        return result.remaining

    def must_stop() -> bool:
        return time_left_ms() < RECONCILE_TIME_RESERVE_MS

    while cursor.unfinished:
        first, *others = cursor.unfinished
        remaining = reconcile_one(first, None)
        cursor = _with_unfinished(cursor, remaining, *others)
        if remaining or (must_stop() and (others or cursor.phase)):
            step.next = cursor
            return step, discovery.misplaced
    for discovered in discovery.walk(cursor):
        remaining = (
            reconcile_one(Unfinished(discovered.subdir), discovered.listing)
            if discovered.subdir
            else None
        )
        if remaining or must_stop():
            step.next = _with_unfinished(
                discovered.resume, remaining, *discovered.resume.unfinished
            )
            break
    return step, discovery.misplaced


def _request_channel_merges(
    ctx: ReconcileContext, request: ReconcileRequest, step: StepReport
) -> None:
    """Request the merges of channels whose notes are left; not in a run over one subdir."""
    if request.subdir is not None:
        return
    channels = channels_with_left_notes(ctx, request.channel, leaves_young=ctx.leaves_young_staging)
    for channel in channels:
        if _is_inside(ctx, channel):
            step.counts.behind += 1
            step.counts.merges += 1
            if not request.dry_run:
                request_channel_merge(ctx, channel)


def _record_misplaced(ctx: ReconcileContext, report: ReconcileReport) -> None:
    """Record what a finished run has counted, unless it has walked through no folder."""
    request = report.request
    if request.subdir is None and not request.dry_run:
        write_misplaced_record(
            ctx.state,
            MisplacedTally(report.misplaced),
            channel=request.channel,
            at=report.finished_at or ctx.clock(),
        )


def check_prefixes(ctx: ReconcileContext, request: ReconcileRequest) -> None:
    """Refuse a request that would match no subdir and look successful; raises ``UnknownEvent``."""
    if request.channel is None:
        return
    if request.subdir is not None:
        inside = Subdir(request.channel, request.subdir).prefix.startswith(ctx.prefixes)
    else:
        inside = _is_inside(ctx, request.channel)
    if not inside:
        raise UnknownEvent(f"the channel {request.channel!r} is outside of CHANNEL_PREFIXES")


def _is_inside(ctx: ReconcileContext, channel: str) -> bool:
    """Whether any subdir of a channel can be within the prefixes."""
    folder = channel_file_key(channel, "")
    return any(folder.startswith(prefix) or prefix.startswith(folder) for prefix in ctx.prefixes)


def _first_cursor(request: ReconcileRequest) -> Cursor:
    if request.channel is None or request.subdir is None:
        return Cursor()
    return Cursor(unfinished=(Unfinished(Subdir(request.channel, request.subdir)),), phase=None)


def _with_unfinished(cursor: Cursor, *unfinished: Unfinished | None) -> Cursor:
    return msgspec.structs.replace(cursor, unfinished=tuple(filter(None, unfinished)))


def new_run_name(now_ms: EpochMs, unique_id: str) -> str:
    """The name of a run, which begins with its time."""
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H%M%SZ}-{sha256(unique_id.encode()).hexdigest()[:8]}"


def _send_next(ctx: ReconcileContext, message: _StepMessage) -> None:
    ctx.continuations.send(
        encode_message(message),
        group=_message_group(message.request),
        deduplication_id=f"{message.run}|{message.step}",
    )


def _message_group(request: ReconcileRequest) -> str:
    if request.channel is None:
        return GROUP
    return message_group(f"{GROUP}/{layout.channel_component(request.channel)}")


def _parse_message(body: str) -> _StepMessage:
    try:
        message = msgspec.json.decode(body, type=_StepMessage)
    except DECODE_ERRORS as error:
        raise UnknownEvent(f"not a reconcile step: {error}") from error
    if message.format > FORMAT:
        raise TooNew(
            f"the reconcile step has format {message.format}, but this version of sluice reads "
            f"formats up to {FORMAT}"
        )
    return message
