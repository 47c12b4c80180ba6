"""The command ``sluice diff``."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.history.diff import Diff, FileChange
from sluice.admin.history.diff import diff as compare
from sluice.admin.history.generations import parse_generation_ref
from sluice.cli.commit_view import render_file_line
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell
from sluice.cli.options import DEFAULTS, Options


def diff(subdir: str, before: str, after: str, /, *, options: Options = DEFAULTS) -> Exit:
    """Show the differences between two generations of a subdir.

    Exits with 1 if they differ, like diff(1).

    Parameters
    ----------
    subdir
        Address of the subdir: s3://bucket/channel/linux-64.
    before
        Number of a generation (17), or a time: 2026-11-27T14:00Z, 2h. A time selects the generation
        that was the newest then.
    after
        The generation to compare it with, in the same form.
    """
    now = datetime.now(UTC)
    old, new = parse_generation_ref(before, now=now), parse_generation_ref(after, now=now)
    channel, target = options.subdir(subdir)
    difference = compare(channel, target, old, new)
    options.output.print_result(difference, render_diff)
    return Exit.OK if difference.empty else Exit.ISSUES_FOUND


def render_diff(difference: Diff) -> RenderableType:
    """Show a line for each file, and the other differences."""
    lines = [_line(change) for change in difference.changes]
    if difference.config_changed:
        lines.append(Text("  the active sluice.toml differs", style="yellow"))
    if difference.patch_changed:
        lines.append(Text("  the active patch instructions differ", style="yellow"))
    title = f"{format_cell(difference.subdir)} {difference.before} → {difference.after}"
    return Group(Text(title, style="bold"), *(lines or [Text("  no differences")]))


def _line(change: FileChange) -> Text:
    detail = format_cell(change.why) if change.why else ", ".join(map(format_cell, change.fields))
    return render_file_line(change.kind, change.file, why=detail)
