"""``sluice reconcile``."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.reconcile import reconcile_channel
from sluice.admin.session.address import Address
from sluice.cli import formatting, removals_view
from sluice.cli.exits import Exit
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.output import table
from sluice.reconcile.report import Counts, Report, SubdirReport

_LOOK_SECONDS = 2.0
_TOLD = ("missing", "changed", "gone", "outdated", "behind", "fed", "removals", "waiting", "merges")


def reconcile(
    channel: str,
    /,
    *,
    dry_run: Annotated[bool, FLAG] = False,
    re_extract: Annotated[bool, FLAG] = False,
    adopt: Annotated[bool, FLAG] = False,
    confirm: str | None = None,
    options: Options = DEFAULTS,
) -> Exit:
    """Have the stack compare a channel with its catalog and repair what differs; wait for the end.

    What it asks for, uploads that are read again and merges, goes on after that: sluice status
    tells. Exits with 1 where anything differed, repaired or not.

    Parameters
    ----------
    channel
        Address of the channel, or of one subdir: s3://bucket/channel/linux-64.
    dry_run
        Only say what would be done.
    re_extract
        Read every reject again, too.
    adopt
        Take over what another stack publishes there.
    confirm
        Carry out now the removals that wait under this digest, which an earlier call has told.
    """
    opened, subdir = options.channel_or_subdir(channel)
    with options.output.busy("reconciling") as say:
        report = reconcile_channel(
            opened,
            subdir.name if subdir else None,
            dry_run=dry_run,
            re_extract=re_extract,
            adopt=adopt,
            confirm=confirm,
            wait=partial(time.sleep, _LOOK_SECONDS),
            on_progress=lambda so_far: say(_progress(so_far)),
        )
    options.output.tell(report, partial(_render, bucket=opened.bucket, options=options))
    counts = report.counts
    amiss = (
        counts.repairs
        or counts.failed
        or counts.foreign_owner
        or counts.wrong_state
        or _confirms_nothing(report)
    )
    return Exit.DIFFERENT if amiss else Exit.FINE


def _progress(report: Report) -> str:
    counts = report.counts
    return (
        f"reconciling: {formatting.counted(counts.subdirs, 'subdir')}, "
        f"{formatting.counted(counts.objects, 'package')}"
    )


def _confirms_nothing(report: Report) -> bool:
    return report.request.confirm is not None and not report.counts.confirmed


def _render(report: Report, *, bucket: str, options: Options) -> RenderableType:
    subdirs = [one for step in report.steps.values() for one in step.subdirs]
    would = " (dry run: nothing was done)" if report.request.dry_run else ""
    counts = report.counts
    parts: list[RenderableType] = [
        Text(
            f"run {report.run}{would}: {formatting.counted(counts.subdirs, 'subdir')}, "
            f"{formatting.counted(counts.objects, 'package')}, "
            f"{formatting.counted(counts.repairs, 'difference')}, "
            f"{formatting.counted(counts.collected, 'object')} collected"
        )
    ]
    if subdirs:
        rows = ([_name(one), *_numbers(one.counts)] for one in subdirs)
        parts.append(table("subdir", *_TOLD, rows=rows, right=_TOLD))
    parts += [
        Text(f"{_name(one)}: {formatting.cell(one.failure)}", style="red")
        for one in subdirs
        if one.failure is not None
    ]
    for one in subdirs:
        if one.waiting:
            address = str(Address(bucket, _name(one)))
            command = options.command("reconcile", address, "--confirm", one.waiting.digest)
            parts += removals_view.waiting(_name(one), one.waiting, command)
    if report.request.confirm is not None and _confirms_nothing(report):
        parts.append(removals_view.nothing_confirmed(report.request.confirm))
    return Group(*parts)


def _name(one: SubdirReport) -> str:
    return formatting.cell(f"{one.channel}/{one.subdir}" if one.channel else one.subdir)


def _numbers(counts: Counts) -> list[str]:
    return [formatting.number(getattr(counts, name)) for name in _TOLD]
