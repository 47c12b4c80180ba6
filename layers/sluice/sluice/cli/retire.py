"""The command ``sluice retire``."""

from __future__ import annotations

import sys
from typing import Annotated

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.retire import Retirement, plan_retirement
from sluice.admin.changes.retire import retire as bury
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell, format_count, format_number
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.output import table
from sluice.errors import Misused

_NUMBERS = ("generation", "index files", "shards", "catalog objects")


def retire(
    channel: str, /, *, yes: Annotated[bool, FLAG] = False, options: Options = DEFAULTS
) -> Exit:
    """Delete the index files and the catalog of a channel that has no packages left.

    Lists what will be deleted, and asks for confirmation. Keeps sluice.toml and all files that
    sluice did not write. A later upload starts a new history. The command is safe to interrupt and
    rerun. Exits with 1 if you do not confirm.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    yes
        Do not ask for confirmation.
    """
    opened = options.channel(channel)
    plan = plan_retirement(opened)
    if not yes:
        if options.json or not sys.stdin.isatty():
            raise Misused(
                "retire needs a confirmation, and there is no terminal to ask for it: add --yes"
            )
        options.output.print_result(plan, _render)
        if input("Delete all of this? [y/N] ").strip().lower() not in ("y", "yes"):
            options.output.note("Nothing was changed.")
            return Exit.ISSUES_FOUND
    options.output.print_result(bury(opened), _render)
    return Exit.OK


def _render(retirement: Retirement) -> RenderableType:
    address = f"s3://{retirement.bucket}/{retirement.channel}".rstrip("/")
    rows = (
        (
            subdir.subdir,
            format_number(subdir.generation),
            format_number(len(subdir.files)),
            format_number(subdir.shards),
            format_number(subdir.catalog_objects),
        )
        for subdir in retirement.subdirs
    )
    files = [Text(f"and {format_cell(file)}") for file in retirement.files]
    title = (
        f"{address} is retired. A later upload starts a new history."
        if retirement.done
        else f"This deletes {format_count(len(retirement.subdirs), 'subdir')} of {address}."
    )
    return Group(table("subdir", *_NUMBERS, rows=rows, right=_NUMBERS), *files, Text(title))
