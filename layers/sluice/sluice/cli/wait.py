"""``sluice wait``."""

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
    """Wait until packages are in the index, in every form that clients read.

    That is repodata.json, repodata.json.zst, the shards, and what else the channel has. Exits with
    1 at once if a package is rejected or pinned, and says why; with 3 if the time is up.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    packages
        Each as subdir/file, or as file alone if only one subdir has it.
    timeout
        Seconds to wait.
    """
    opened = options.channel(channel)
    with options.output.busy("Waiting for the index"):
        waited = wait_until_indexed(opened, packages, seconds_max=timeout)
    options.output.print_result(waited, _render)
    if any(one.is_refused for one in waited):
        return Exit.ISSUES_FOUND
    return Exit.OK if all(one.state == "indexed" for one in waited) else Exit.FAILED


def _render(waited: list[Waited]) -> RenderableType:
    return Group(*map(_line, waited))


def _line(one: Waited) -> RenderableType:
    place = f"{one.subdir}/{one.file}" if one.subdir else one.file
    text = f"{format_cell(place)}: {'not indexed in time' if not one.is_final else one.state}"
    if one.state == "indexed":
        text += f", in generation {one.generation}"
    elif one.reason:
        text += f": {format_cell(one.reason)}"
    return Text(text, style=_STYLES[one.state])
