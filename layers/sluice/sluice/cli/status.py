"""The command ``sluice status``."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.history.status import Status, SubdirStatus
from sluice.admin.history.status import status as look
from sluice.admin.session.notifications import Notifications
from sluice.admin.session.queue_depth import EVENT_DLQ, QUEUE_KINDS, QueueDepth
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_age, format_cell, format_number, format_size, format_utc
from sluice.cli.misplaced_view import render_misplaced
from sluice.cli.options import DEFAULTS, Options
from sluice.cli.output import STATE, table
from sluice.conda.timestamps import EpochMs

_NUMBERS = (
    "generation",
    "committed",
    "packages",
    "index",
    "rejects",
    "warnings",
    "staged",
    "oldest pending",
)
_COLUMNS = ("subdir", *_NUMBERS, STATE)
_QUEUE_COLUMNS = ("queue", "waiting", "in flight", "dead letters")


def status(channel: str, /, *, options: Options = DEFAULTS) -> Exit:
    """Show the status of a channel: its content, its pending work and its problems.

    Exits with 1 if sluice does not know the channel, if changes are not published within 15
    minutes, if the configuration is invalid, if a dead-letter queue is not empty, or if the bucket
    does not send its events to the stack.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    """
    report = look(options.channel(channel))
    options.output.print_result(report, _render)
    return Exit.OK if report.healthy else Exit.ISSUES_FOUND


def _render(report: Status) -> RenderableType:
    parts: list[RenderableType] = [
        table(
            *_COLUMNS,
            rows=(_row(subdir, now=report.at) for subdir in report.subdirs),
            right=_NUMBERS,
        )
    ]
    if not report.subdirs:
        parts = [Text(format_cell(report.unknown), style="red")]
    if report.retiring:
        text = (
            "The channel is being retired. Until that finishes, sluice changes nothing in it. If "
            "the command was interrupted, run it again: sluice retire "
            f"s3://{report.bucket}/{report.channel}"
        )
        parts.append(Text(text, style="red"))
    elif report.moving_to:
        parts.append(
            Text(
                f"The catalog is being moved to the bucket {report.moving_to}. Until that "
                "finishes, sluice changes nothing. If the command was interrupted, run it again: "
                f"sluice rebind s3://{report.moving_to}/{report.channel}",
                style="red",
            )
        )
    elif report.bound_to not in (None, report.bucket):
        parts.append(
            Text(
                f"The catalog is bound to the bucket {report.bound_to}, so sluice changes nothing "
                f"in {report.bucket}. If the channel was moved or restored, run: sluice rebind "
                f"s3://{report.bucket}/{report.channel}",
                style="red",
            )
        )
    parts += [
        Text(format_cell(problem), style="red")
        for subdir in report.subdirs
        for problem in subdir.problems
    ]
    parts += [
        Text(format_cell(warning), style="yellow")
        for subdir in report.subdirs
        for warning in subdir.channel_warnings
    ]
    parts += render_misplaced(report.misplaced)
    if report.queues:
        rows = [_queue_row(kind, report.queues) for kind in QUEUE_KINDS]
        if EVENT_DLQ in report.queues:
            dead = report.queues[EVENT_DLQ].messages
            rows.append(["EventBridge", "", "", _dead_letters(dead)])
        parts += [Text(), table(*_QUEUE_COLUMNS, rows=rows, right=_QUEUE_COLUMNS[1:])]
    if report.notifications:
        parts += _render_notifications(report.bucket, report.notifications)
    return Group(*parts)


def _render_notifications(bucket: str, notifications: Notifications) -> list[Text]:
    if notifications.unread is not None:
        return [
            Text(
                format_cell(
                    f"Cannot check whether {bucket} sends its events to the stack (needs "
                    f"s3:GetBucketNotification): {notifications.unread}"
                ),
                style="yellow",
            )
        ]
    if not notifications.missing:
        return []
    if notifications.needed == "eventbridge":
        sentence = (
            f"{bucket} does not send its events to EventBridge, so uploads are not indexed before "
            "the next reconcile. Turn on EventBridge in the bucket's properties."
        )
    else:
        sentence = (
            f"{bucket} does not send these events to UploadQueue: "
            f"{', '.join(notifications.missing)}. Such changes are not indexed before the next "
            "reconcile. Add the events to the bucket's notification configuration. Deploying again "
            "does not restore it."
        )
    return [Text(format_cell(sentence), style="red")]


def _queue_row(kind: str, queues: Mapping[str, QueueDepth]) -> list[object]:
    alive, dead = queues[f"{kind}Queue"], queues[f"{kind}Dlq"].messages
    return [
        f"{kind}Queue",
        format_number(alive.waiting + alive.delayed),
        format_number(alive.handled),
        _dead_letters(dead),
    ]


def _dead_letters(count: int) -> Text:
    return Text(format_number(count), style="red" if count else "")


def _row(subdir: SubdirStatus, *, now: EpochMs) -> list[object]:
    return [
        subdir.subdir,
        format_number(subdir.generation),
        format_utc(subdir.committed_at),
        format_number(subdir.packages),
        format_size(subdir.index_bytes),
        format_number(subdir.rejects),
        format_number(subdir.warnings),
        format_number(subdir.staged),
        format_age(subdir.oldest_invisible_at, now=now),
        _state(subdir),
    ]


def _state(subdir: SubdirStatus) -> Text:
    stale = [file for file in subdir.behind if file not in subdir.missing]
    amiss = [
        f"{what}: {', '.join(files)}"
        for what, files in (("missing", subdir.missing), ("stale", stale))
        if files
    ]
    foreign = subdir.foreign_owner
    states = (
        (foreign is not None, format_cell(f"published by {foreign}"), "red"),
        (subdir.publishing, "publishing", "yellow"),
        (bool(amiss), "; ".join(amiss), "red"),
        (subdir.staged > 0, "not merged for 15 minutes", "red"),
        (subdir.moved_away, "moved away: no packages or index files", "yellow"),
        (not subdir.public, "not published: no package yet", "yellow"),
        (bool(subdir.problems), "problems", "red"),
    )
    applying = ((text, style) for applies, text, style in states if applies)
    return Text(*next(applying, ("published", "green")))
