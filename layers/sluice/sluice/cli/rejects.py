"""``sluice rejects``."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sluice.admin.history.rejects import Finding
from sluice.admin.history.rejects import rejects as read
from sluice.cli import formatting
from sluice.cli.exits import Exit
from sluice.cli.options import DEFAULTS, Options

_STYLES = {"reject": "red", "warning": "yellow", "problem": "red"}


def rejects(channel: str, /, *, options: Options = DEFAULTS) -> Exit:
    """Tell which files are not in the index, why, and what to do about it.

    Also which configuration or patch is not in force. Exits with 1 where there is any of that;
    warnings alone leave 0.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    """
    found = read(options.channel(channel))
    options.output.tell(found, _render)
    amiss = any(one.kind != "warning" for one in found)
    return Exit.DIFFERENT if amiss else Exit.FINE


def _render(found: list[Finding]) -> RenderableType:
    if not found:
        return Text("Nothing is rejected.")
    return Group(*(part for one in found for part in _parts(one)))


def _parts(one: Finding) -> list[RenderableType]:
    title = Text.assemble(
        (f"{formatting.cell(one.subdir)}/{formatting.cell(one.file)}", "bold"),
        f"  {formatting.moment(one.at)}  " if one.at else "  ",
        (f"{one.kind}: {formatting.cell(one.code)}", _STYLES[one.kind]),
    )
    sentence, advice = Text(formatting.cell(one.sentence)), Text(f"→ {one.advice}", style="green")
    return [title, *(Padding(text, (0, 0, 0, 2), expand=False) for text in (sentence, advice))]
