"""``sluice diff``."""

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
    """Show how two generations of a subdir differ, from the first to the second.

    Exits with 1 if they do, as diff(1).

    Parameters
    ----------
    subdir
        Its address, s3://bucket/channel/linux-64.
    before
        A generation, or a time at which it was the newest: 2026-11-27T14:00Z, 2h.
    after
        Another one.
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
        lines.append(Text("  another sluice.toml is in force", style="yellow"))
    if difference.patch_changed:
        lines.append(Text("  other patch instructions are in force", style="yellow"))
    title = f"{format_cell(difference.subdir)} {difference.before} → {difference.after}"
    return Group(Text(title, style="bold"), *(lines or [Text("  no difference")]))


def _line(change: FileChange) -> Text:
    detail = format_cell(change.why) if change.why else ", ".join(map(format_cell, change.fields))
    return render_file_line(change.kind, change.file, why=detail)
