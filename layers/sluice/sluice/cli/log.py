"""The command ``sluice log``."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.history import log as history
from sluice.admin.history.log import Generation, Log
from sluice.admin.session.known_channels import unknown_channel_error
from sluice.cli.commit_view import render_commit
from sluice.cli.options import DEFAULTS, FLAG, Options

_POLL_SECONDS = 2.0


def log(
    channel: str,
    /,
    *,
    limit: Annotated[int, Parameter(alias="-n", validator=Number(gte=1))] = 20,
    follow: Annotated[bool, FLAG, Parameter(alias="-f")] = False,
    all_files: Annotated[bool, FLAG] = False,
    options: Options = DEFAULTS,
) -> None:
    """Show the history of a channel: the generations that are still kept, newest first.

    Exits with 1 if sluice does not know the channel or the subdir.

    Parameters
    ----------
    channel
        Address of the channel, or of one subdir: s3://bucket/channel/linux-64.
    limit
        Maximum number of generations to show.
    follow
        Then print each new generation until Ctrl-C, newest last. With --json, print one line for
        each.
    all_files
        List every file instead of the first few of each generation. --json always lists all.
    """
    opened, subdir = options.channel_or_subdir(channel)
    only = subdir.name if subdir else None
    page = history.log(opened, only, limit=limit)
    if not page.newest:
        raise unknown_channel_error(opened)
    if not follow:
        options.output.print_result(page, partial(_render, all_files=all_files))
        return
    render = partial(_render_generation, all_files=all_files)
    for name in page.collected:
        options.output.note(_collected_note(name))
    for generation in reversed(page.generations):
        options.output.print_line(generation, render)
    pause = partial(time.sleep, _POLL_SECONDS)
    for generation in history.follow(opened, only, after=page.newest, wait=pause):
        options.output.print_line(generation, render)


def _render(page: Log, *, all_files: bool) -> RenderableType:
    parts: list[RenderableType] = [
        _render_generation(generation, all_files=all_files) for generation in page.generations
    ]
    if not parts:
        parts = [Text("No history: sluice has not indexed anything here.")]
    parts += [Text(_collected_note(subdir), style="dim") for subdir in page.collected]
    return Group(*parts)


def _collected_note(subdir: str) -> str:
    return f"{subdir}: earlier generations have been garbage-collected."


def _render_generation(generation: Generation, *, all_files: bool) -> RenderableType:
    return render_commit(generation.subdir, generation.commit, all_files=all_files)
