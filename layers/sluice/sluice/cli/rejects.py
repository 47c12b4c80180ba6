"""The command ``sluice rejects``."""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sluice.admin.history.rejects import FileIssue
from sluice.admin.history.rejects import rejects as read
from sluice.admin.session.known_channels import require_known
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell, format_utc
from sluice.cli.options import DEFAULTS, Options

_STYLES = {"reject": "red", "warning": "yellow", "problem": "red", "omitted": "red"}


def rejects(channel: str, /, *, options: Options = DEFAULTS) -> Exit:
    """Show which files are not in the index, why, and how to fix them.

    Also shows invalid configurations and patches, and warnings about files that are in the index or
    wait to be read. Exits with 1 if there is a reject or a problem, and with 0 if there are only
    warnings.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    """
    opened = options.channel(channel)
    issues = read(opened)
    if not issues:
        require_known(opened)
    options.output.print_result(issues, _render)
    has_errors = any(issue.kind != "warning" for issue in issues)
    return Exit.ISSUES_FOUND if has_errors else Exit.OK


def _render(issues: list[FileIssue]) -> RenderableType:
    if not issues:
        return Text("No rejects.")
    return Group(*(part for issue in issues for part in _parts(issue)), Text(_summary(issues)))


def _summary(issues: list[FileIssue]) -> str:
    """How many issues of each kind there are."""
    counts = Counter(issue.kind for issue in issues)
    parts = [
        f"{counts[kind]} {kind}{'' if counts[kind] == 1 else 's'}"
        for kind in ("problem", "reject", "warning")
    ]
    return f"Listed: {', '.join(parts)}."


def _parts(issue: FileIssue) -> list[RenderableType]:
    title = Text.assemble(
        (f"{format_cell(issue.subdir)}/{format_cell(issue.file)}", "bold"),
        f"  {format_utc(issue.at)}  " if issue.at else "  ",
        (f"{issue.kind}: {format_cell(issue.code)}", _STYLES[issue.kind]),
    )
    sentence, advice = (
        Text(format_cell(issue.sentence)),
        Text(f"→ {issue.advice}", style="green"),
    )
    return [title, *(Padding(text, (0, 0, 0, 2), expand=False) for text in (sentence, advice))]
