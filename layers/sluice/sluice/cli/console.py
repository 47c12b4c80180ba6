"""Consoles for stdout and stderr, with or without colors."""

from __future__ import annotations

import os
import sys

from rich.console import Console

_PIPED_COLUMNS = 2000
"""Width of the output if it is not a terminal: so wide that no line is wrapped."""


def make_console(*, stderr: bool = False, wraps: bool = True) -> Console:
    """A console for stdout or stderr.

    ``NO_COLOR`` turns off every style, bold ones included (https://no-color.org).  ``wraps``:
    whether to wrap lines at 80 columns, too, where there is no terminal.
    """
    stream = sys.stderr if stderr else sys.stdout
    is_unlimited = not (wraps or stream.isatty() or "COLUMNS" in os.environ)
    return Console(
        stderr=stderr,
        highlight=False,
        width=_PIPED_COLUMNS if is_unlimited else None,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )
