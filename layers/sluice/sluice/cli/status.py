"""``sluice status``."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.history.status import Status, SubdirStatus
from sluice.admin.history.status import status as look
from sluice.admin.session.queue_depth import KINDS, Depth
from sluice.cli import formatting
from sluice.cli.exits import Exit
from sluice.cli.options import DEFAULTS, Options
from sluice.cli.output import table

_NUMBERS = ("generation", "committed", "packages", "index", "rejects", "staged", "unseen for")
_COLUMNS = ("subdir", *_NUMBERS, "state")
_QUEUE_COLUMNS = ("queue", "waiting", "delayed", "handled", "dead letters")


def status(channel: str, /, *, options: Options = DEFAULTS) -> Exit:
    """Tell how a channel is: what it holds, what is on its way, what is not as it should be.

    Exits with 1 where published files are behind the catalog, the configuration cannot be used, or
    something is in a dead-letter queue.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    """
    found = look(options.channel(channel))
    options.output.tell(found, _render)
    return Exit.FINE if found.healthy else Exit.DIFFERENT


def _render(found: Status) -> RenderableType:
    parts: list[RenderableType] = [
        table(*_COLUMNS, rows=(_row(one, now=found.at) for one in found.subdirs), right=_NUMBERS)
    ]
    if not found.subdirs:
        parts = [Text("sluice knows no subdir of this channel.")]
    if found.moving_to:
        parts.append(
            Text(
                f"The catalog is being moved to the bucket {found.moving_to}, and sluice changes "
                "nothing until that has ended. If it was interrupted: sluice rebind "
                f"s3://{found.moving_to}/{found.channel}",
                style="red",
            )
        )
    elif found.bound_to not in (None, found.bucket):
        parts.append(
            Text(
                f"The catalog belongs to the bucket {found.bound_to}, so sluice changes nothing in "
                f"{found.bucket}. If the channel was moved or restored: sluice rebind "
                f"s3://{found.bucket}/{found.channel}",
                style="red",
            )
        )
    parts += [
        Text(formatting.cell(problem), style="red")
        for one in found.subdirs
        for problem in one.problems
    ]
    if found.queues:
        rows = [_queue_row(kind, found.queues) for kind in KINDS]
        parts += [Text(), table(*_QUEUE_COLUMNS, rows=rows, right=_QUEUE_COLUMNS[1:])]
    return Group(*parts)


def _queue_row(kind: str, queues: Mapping[str, Depth]) -> list[object]:
    alive, dead = queues[f"{kind}Queue"], queues[f"{kind}Dlq"].messages
    return [
        f"{kind}Queue",
        formatting.number(alive.waiting),
        formatting.number(alive.delayed),
        formatting.number(alive.handled),
        Text(formatting.number(dead), style="red" if dead else ""),
    ]


def _row(one: SubdirStatus, *, now: int) -> list[object]:
    return [
        one.subdir,
        formatting.number(one.generation),
        formatting.moment(one.committed_at),
        formatting.number(one.packages),
        formatting.size(one.index_bytes),
        formatting.number(one.rejects),
        formatting.number(one.staged),
        formatting.age(one.oldest_invisible_at, now=now),
        _state(one),
    ]


def _state(one: SubdirStatus) -> Text:
    if one.foreign_owner is not None:
        return Text(formatting.cell(f"published by {one.foreign_owner}"), style="red")
    if one.behind:
        return Text(f"behind: {', '.join(one.behind)}", style="red")
    if one.staged:
        return Text("merging", style="yellow")
    return Text("problems", style="red") if one.problems else Text("published", style="green")
