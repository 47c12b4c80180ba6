"""The command ``sluice reconcile``."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.reconcile import reconcile_channel
from sluice.admin.session.address import Address
from sluice.admin.session.known_channels import require_known
from sluice.cli import removals_view
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell, format_count, format_number
from sluice.cli.misplaced_view import render_misplaced
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.output import table
from sluice.reconcile.report import Counts, ReconcileReport, SubdirReport

_POLL_SECONDS = 2.0
_COUNTS = {
    "missing": "missing",
    "changed": "changed",
    "gone": "gone",
    "outdated": "outdated",
    "behind": "stale",
    "fed": "requeued",
    "removals": "removals",
    "waiting": "waiting",
    "merges": "merges",
}
"""The column of each count: some names in ``Counts`` are those of stored documents."""


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
    """Make the stack compare a channel with its catalog and repair the differences.

    Waits until the comparison finishes. The stack may still be reading packages and merging then:
    see sluice status. Exits with 1 if anything differed, whether or not it was repaired.

    Parameters
    ----------
    channel
        Address of the channel, or of one subdir: s3://bucket/channel/linux-64.
    dry_run
        Show the differences, and change nothing.
    re_extract
        Also read every rejected package again.
    adopt
        Take over index files that another stack publishes.
    confirm
        Apply the pending removals with this digest now. An earlier run prints the digest.
    """
    opened, subdir = options.channel_or_subdir(channel)
    with options.output.busy("reconciling") as update:
        report = reconcile_channel(
            opened,
            subdir.name if subdir else None,
            dry_run=dry_run,
            re_extract=re_extract,
            adopt=adopt,
            confirm=confirm,
            wait=partial(time.sleep, _POLL_SECONDS),
            on_progress=lambda so_far: update(_progress(so_far)),
        )
    if not report.counts.subdirs and not report.counts.failed and not report.misplaced:
        require_known(opened)
    options.output.print_result(report, partial(_render, bucket=opened.bucket, options=options))
    counts = report.counts
    has_issues = (
        counts.repairs
        or counts.failed
        or counts.foreign_owner
        or counts.wrong_state
        or counts.digests_false
        or _confirms_nothing(report)
    )
    return Exit.ISSUES_FOUND if has_issues else Exit.OK


def _progress(report: ReconcileReport) -> str:
    counts = report.counts
    return (
        f"reconciling: {format_count(counts.subdirs, 'subdir')}, "
        f"{format_count(counts.objects, 'package')}"
    )


def _confirms_nothing(report: ReconcileReport) -> bool:
    return report.request.confirm is not None and not report.counts.confirmed


def _render(report: ReconcileReport, *, bucket: str, options: Options) -> RenderableType:
    subdirs = [subdir for step in report.steps.values() for subdir in step.subdirs]
    would = " (dry run: nothing was changed)" if report.request.dry_run else ""
    counts = report.counts
    parts: list[RenderableType] = [
        Text(
            f"run {report.run}{would}: {format_count(counts.subdirs, 'subdir')}, "
            f"{format_count(counts.objects, 'package')}, "
            f"{format_count(counts.repairs, 'difference')}, "
            f"{format_count(counts.collected, 'object')} collected"
        )
    ]
    if counts.digests_checked:
        parts.append(
            Text(
                f"{format_count(counts.digests_checked, 'package')} hashed, "
                f"{format_number(counts.digests_false)} with false digests"
            )
        )
    parts += [
        Text(f"{_name(subdir)}: {format_cell(filename)} has false digests", style="red")
        for subdir in subdirs
        for filename in subdir.examples.get("digests_false", [])
    ]
    if subdirs:
        rows = ([_name(subdir), *_numbers(subdir.counts)] for subdir in subdirs)
        columns = _COUNTS.values()
        parts.append(table("subdir", *columns, rows=rows, right=columns))
    parts += [
        Text(f"{_name(subdir)}: {format_cell(subdir.failure)}", style="red")
        for subdir in subdirs
        if subdir.failure is not None
    ]
    for subdir in subdirs:
        if subdir.waiting:
            address = str(Address(bucket, _name(subdir)))
            command = options.command("reconcile", address, "--confirm", subdir.waiting.digest)
            parts += removals_view.render_waiting(_name(subdir), subdir.waiting, command)
    if counts.archived:
        count = format_count(counts.archived, "package")
        text = f"Archived after indexing: {count}. Clients get 403: see sluice rejects."
        parts.append(Text(text, style="yellow"))
    parts += render_misplaced(report.misplaced)
    if report.request.confirm is not None and _confirms_nothing(report):
        parts.append(removals_view.render_nothing_confirmed(report.request.confirm))
    return Group(*parts)


def _name(subdir: SubdirReport) -> str:
    return format_cell(f"{subdir.channel}/{subdir.subdir}" if subdir.channel else subdir.subdir)


def _numbers(counts: Counts) -> list[str]:
    return [format_number(getattr(counts, name)) for name in _COUNTS]
