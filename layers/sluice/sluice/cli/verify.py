"""``sluice verify``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.session.channel import Channel
from sluice.admin.standalone import index as indexing
from sluice.admin.standalone.reader_choice import best_readers
from sluice.admin.standalone.report import IndexReport
from sluice.admin.verify import verify as operate
from sluice.admin.verify.repair import repair as mend
from sluice.admin.verify.verify import VerifyReport
from sluice.cli import formatting, index
from sluice.cli.exits import Exit
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.output import table
from sluice.cli.progress_bars import bars


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What the command answers."""

    found: VerifyReport
    repaired: IndexReport | None
    """What the repair did; ``None`` where there was none."""
    left: VerifyReport | None
    """What was found after it."""


def verify(
    channel: str,
    /,
    *,
    deep: Annotated[bool, FLAG] = False,
    repair: Annotated[bool, FLAG] = False,
    options: Options = DEFAULTS,
) -> Exit:
    """Hold a channel against its catalog: every head, tree, leaf, shard, index file and package.

    What is immutable is hashed again, what follows from it is made again and compared. Exits with 1
    where anything differs, repaired or not.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    deep
        Download every package, too, and hash it.
    repair
        Repair what differs from here, and look again. Needs the rights to write that merge has.
    """
    opened = options.channel(channel)
    with bars(options.output) as shown:
        found = operate.verify(opened, deep=deep, progress=shown)
        repaired = left = None
        if repair and found.findings:
            settings = indexing.options_of(opened.stack)
            readers = best_readers(options.opener.aws, opened)
            repaired = mend(opened, found.findings, settings, readers=readers, progress=shown)
            left = operate.verify(opened, deep=deep, progress=shown)
    answer = Verified(found=found, repaired=repaired, left=left)
    options.output.tell(answer, partial(_render, channel=opened, options=options))
    return Exit.FINE if found.healthy else Exit.DIFFERENT


def _render(answer: Verified, *, channel: Channel, options: Options) -> RenderableType:
    parts = [*_parts(answer.found)]
    if answer.repaired and answer.left:
        repaired = index.render(answer.repaired, channel=channel, options=options)
        parts += [Text("\nRepaired:"), repaired, Text("\nAfter that:")]
        parts += _parts(answer.left)
    return Group(*parts)


def _parts(report: VerifyReport) -> Iterator[RenderableType]:
    yield table(
        "subdir",
        *_NUMBERS,
        rows=(
            (
                formatting.cell(one.subdir),
                str(one.generation),
                *map(formatting.number, (one.names, one.packages, one.hashed)),
            )
            for one in report.subdirs
        ),
        right=_NUMBERS,
    )
    for one in report.findings:
        yield Text.assemble(
            (one.kind.value, "red"),
            f"  {formatting.cell(one.object)}\n  {formatting.cell(one.reason)}",
        )
        yield Text(f"  → {one.kind.repair}", style="green")
    for text in report.unchecked:
        yield Text(f"not checked: {formatting.cell(text)}", style="yellow")
    if report.healthy:
        yield Text("Nothing differs.", style="green")


_NUMBERS = ("generation", "names", "packages", "hashed")
