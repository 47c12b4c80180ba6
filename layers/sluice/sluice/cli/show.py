"""``sluice show``."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.history.generations import parse_moment
from sluice.admin.history.show import Shown
from sluice.admin.history.show import show as read
from sluice.cli import formatting
from sluice.cli.commit_view import render_commit
from sluice.cli.options import DEFAULTS, Options


def show(subdir: str, generation: str, /, *, options: Options = DEFAULTS) -> None:
    """Show one generation of a subdir: what it changed, and what there was then.

    Parameters
    ----------
    subdir
        Its address, s3://bucket/channel/linux-64.
    generation
        Its number, or a time at which it was the newest: 2026-11-27T14:00Z, 2h.
    """
    moment = parse_moment(generation, now=datetime.now(UTC))
    channel, found = options.subdir(subdir)
    options.output.tell(read(channel, found, moment), _render)


def _render(shown: Shown) -> RenderableType:
    parts = [render_commit(shown.subdir, shown.commit, all_files=True)]
    parts += [
        Text(f"  {formatting.cell(one.code)}: {formatting.cell(one.sentence)}", style="dim")
        for one in shown.rejected
    ]
    if shown.packages is None or shown.rejects is None:
        parts.append(Text("What else there was then has been collected.", style="dim"))
    else:
        packages = formatting.counted(shown.packages, "package")
        rejects = formatting.counted(shown.rejects, "reject")
        parts.append(Text(f"There were {packages} and {rejects} then."))
    return Group(*parts)
