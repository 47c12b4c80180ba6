"""``sluice log``."""

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
    """Show what happened to a channel: its generations, newest first, as long as they are kept.

    Exits with 1 if sluice does not know the channel or the subdir.

    Parameters
    ----------
    channel
        Address of the channel, or of one subdir: s3://bucket/channel/linux-64.
    limit
        How many generations at most.
    follow
        Then go on with each new one until Ctrl-C, the newest last; with --json, one line for each.
    all_files
        Name every file, and not the first few of each generation. --json has them all.
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
        parts = [Text("Nothing has happened here that sluice knows of.")]
    parts += [Text(_collected_note(subdir), style="dim") for subdir in page.collected]
    return Group(*parts)


def _collected_note(subdir: str) -> str:
    return f"{subdir}: what was before has been collected."


def _render_generation(generation: Generation, *, all_files: bool) -> RenderableType:
    return render_commit(generation.subdir, generation.commit, all_files=all_files)
