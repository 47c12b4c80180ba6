"""The command ``sluice wait``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.wait_indexed import Waited, wait_until_indexed
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell
from sluice.cli.options import DEFAULTS, Options, Packages

_STYLES = {"indexed": "green", "rejected": "red", "pinned": "red", "waiting": "yellow"}


def wait(
    channel: str,
    /,
    *packages: Packages,
    timeout: Annotated[float, Parameter(validator=Number(gte=0))] = 300,
    options: Options = DEFAULTS,
) -> Exit:
    """Wait until packages are in the index, in every format that clients read.

    These are repodata.json, repodata.json.zst, the shards, and all other index files of the
    channel. Exits with 1 at once, and prints the reason, if a package is rejected or pinned. Exits
    with 3 after the timeout.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    packages
        Each as subdir/file, or as file if only one subdir has it.
    timeout
        Maximum number of seconds to wait.
    """
    opened = options.channel(channel)
    with options.output.busy("waiting for the index"):
        waited = wait_until_indexed(opened, packages, seconds_max=timeout)
    options.output.print_result(waited, _render)
    if any(one.is_refused for one in waited):
        return Exit.ISSUES_FOUND
    return Exit.OK if all(one.state == "indexed" for one in waited) else Exit.FAILED


def _render(waited: list[Waited]) -> RenderableType:
    return Group(*map(_line, waited))


def _line(one: Waited) -> RenderableType:
    place = f"{one.subdir}/{one.file}" if one.subdir else one.file
    outcome = one.state if one.is_final else "not indexed before the timeout"
    text = f"{format_cell(place)}: {outcome}"
    if one.state == "indexed":
        text += f", in generation {one.generation}"
    elif one.reason:
        text += f": {format_cell(one.reason)}"
    return Text(text, style=_STYLES[one.state])
