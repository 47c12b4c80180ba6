"""The command ``sluice show``."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.history.generations import parse_generation_ref
from sluice.admin.history.show import GenerationDetails
from sluice.admin.history.show import show as read
from sluice.cli.commit_view import render_commit
from sluice.cli.formatting import format_cell, format_count
from sluice.cli.options import DEFAULTS, Options


def show(subdir: str, generation: str, /, *, options: Options = DEFAULTS) -> None:
    """Show one generation of a subdir: its changes, and its content at that time.

    Parameters
    ----------
    subdir
        Address of the subdir: s3://bucket/channel/linux-64.
    generation
        Number of the generation, or a time: 2026-11-27T14:00Z, 2h. A time selects the generation
        that was the newest then.
    """
    ref = parse_generation_ref(generation, now=datetime.now(UTC))
    channel, target = options.subdir(subdir)
    options.output.print_result(read(channel, target, ref), _render)


def _render(details: GenerationDetails) -> RenderableType:
    parts = [render_commit(details.subdir, details.commit, all_files=True)]
    parts += [
        Text(
            f"  {format_cell(reject.code)}: {format_cell(reject.sentence)}",
            style="dim",
        )
        for reject in details.rejected
    ]
    if details.packages is None or details.rejects is None:
        parts.append(Text("Its full content has been garbage-collected.", style="dim"))
    else:
        packages = format_count(details.packages, "package")
        rejects = format_count(details.rejects, "reject")
        parts.append(Text(f"Content: {packages} and {rejects}."))
    return Group(*parts)
