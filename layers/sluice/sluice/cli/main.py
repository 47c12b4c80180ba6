"""``sluice``: the commands, and what becomes of errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import NoReturn

from cyclopts import App, CycloptsError
from rich.console import Console

from sluice.cli.exits import Exit, exit_of
from sluice.errors import SluiceError
from sluice.printable import printable

_EXITS = "\n".join(f"* `{code.value}`: {code.meaning}" for code in Exit)

app = App(
    name="sluice",
    help="Ask a conda channel on S3 how it is, what happened to it, and change that.",
    help_epilogue=f"Exit codes:\n\n{_EXITS}",
    help_format="markdown",
    version=partial(version, "sluice"),
    result_action="return_value",
    sort_key=0,
)

# Each is imported when it is called.  A command returns with what to exit; nothing stands for FINE.
app.command("sluice.cli.status:status")


def run(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line (that of the process, unless one is given); its exit code."""
    errors = Console(stderr=True, highlight=False)
    try:
        code = app(arguments, exit_on_error=False)
    except CycloptsError:  # it has told already
        return Exit.MISUSED
    except SluiceError as error:
        errors.print(f"sluice: {printable(str(error))}", markup=False, soft_wrap=True)
        return exit_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return Exit.FINE if code is None else int(code)


def main() -> NoReturn:
    """Be the program."""
    sys.exit(run())
