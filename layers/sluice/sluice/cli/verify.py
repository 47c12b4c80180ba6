"""The command ``sluice verify``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.session.channel import Channel
from sluice.admin.session.known_channels import has_live_subdir, unknown_channel_error
from sluice.admin.standalone import index as indexing
from sluice.admin.standalone.reader_choice import choose_readers
from sluice.admin.standalone.report import IndexReport
from sluice.admin.verify import verify as verification
from sluice.admin.verify.repair import repair as mend
from sluice.admin.verify.verify import VerifyReport
from sluice.cli import index
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell, format_number
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.output import table
from sluice.cli.progress_bars import bars


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the command."""

    before: VerifyReport = msgspec.field(name="found")
    repaired: IndexReport | None
    """The report of the repair; ``None`` if there was none."""
    after: VerifyReport | None = msgspec.field(name="left")
    """The findings after the repair."""


def verify(
    channel: str,
    /,
    *,
    deep: Annotated[bool, FLAG] = False,
    repair: Annotated[bool, FLAG] = False,
    options: Options = DEFAULTS,
) -> Exit:
    """Check a channel against its catalog: every head, tree, leaf, shard, index file and package.

    Hashes immutable objects, and renders the files that depend on them again to compare them. Exits
    with 1 if anything differs, whether or not it was repaired, or if sluice does not know the
    channel.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    deep
        Also download and hash every package.
    repair
        Repair the differences from this machine, and check again. Needs the write permissions of
        the merge function.
    """
    opened = options.channel(channel)
    with bars(options.output) as progress:
        report = verification.verify(opened, deep=deep, progress=progress)
        if not report.subdirs and not has_live_subdir(opened):
            unknown = unknown_channel_error(opened)
            if not report.findings:
                raise unknown
            report.unchecked.append(str(unknown))  # packages that are not indexed in this state
        repaired = after = None
        if repair and report.findings:
            settings = indexing.options_from_stack(opened.stack)
            readers = choose_readers(options.opener.aws, opened)
            repaired = mend(opened, report.findings, settings, readers=readers, progress=progress)
            after = verification.verify(opened, deep=deep, progress=progress)
    result = Verified(before=report, repaired=repaired, after=after)
    options.output.print_result(result, partial(_render, channel=opened, options=options))
    return Exit.OK if report.healthy else Exit.ISSUES_FOUND


def _render(result: Verified, *, channel: Channel, options: Options) -> RenderableType:
    parts = [*_report_parts(result.before)]
    if result.repaired and result.after:
        repaired = index.render_index_report(result.repaired, channel=channel, options=options)
        parts += [Text("\nRepair:"), repaired, Text("\nAfter the repair:")]
        parts += _report_parts(result.after)
    return Group(*parts)


def _report_parts(report: VerifyReport) -> Iterator[RenderableType]:
    yield table(
        "subdir",
        *_NUMBERS,
        rows=(
            (
                format_cell(item.subdir),
                str(item.generation),
                *map(format_number, (item.names, item.packages, item.hashed)),
            )
            for item in report.subdirs
        ),
        right=_NUMBERS,
    )
    for item in report.findings:
        yield Text.assemble(
            (item.kind.value, "red"),
            f"  {format_cell(item.object)}\n  {format_cell(item.reason)}",
        )
        yield Text(f"  → {item.kind.repair}", style="green")
    for text in report.unchecked:
        yield Text(f"not checked: {format_cell(text)}", style="yellow")
    if report.healthy:
        yield Text("No differences.", style="green")


_NUMBERS = ("generation", "names", "packages", "hashed")
