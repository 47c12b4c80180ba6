"""The command ``sluice redrive``."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from sluice.admin.changes.redrive import redrive as move
from sluice.cli.formatting import format_number
from sluice.cli.options import DEFAULTS, Options
from sluice.errors import Misused


def redrive(*, options: Options = DEFAULTS) -> None:
    """Send the messages in the stack's dead-letter queues again.

    The daily reconcile recovers the packages concerned. This command recovers them now.
    """
    stack = options.opener.named_stack
    if stack is None:
        raise Misused("redrive needs a stack: set --stack or SLUICE_STACK")
    with options.output.busy("redriving") as update:
        moved = move(stack, on_progress=lambda queue, count: update(f"{queue}: {count} sent"))
    options.output.print_result(moved, _render)


def _render(moved: dict[str, int]) -> RenderableType:
    parts = [f"{queue}: {format_number(count)}" for queue, count in moved.items() if count]
    return Text(
        f"Messages sent again: {', '.join(parts)}."
        if parts
        else "The dead-letter queues are empty."
    )
