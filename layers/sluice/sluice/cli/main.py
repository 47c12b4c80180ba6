"""``sluice``: the commands, and the handling of errors."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from cyclopts import App, CycloptsError
from rich.console import Console

from sluice.cli.diff import diff
from sluice.cli.exits import Exit, exit_for_error
from sluice.cli.index import index
from sluice.cli.log import log
from sluice.cli.pins import pin, pins, unpin
from sluice.cli.rebind import rebind
from sluice.cli.reconcile import reconcile
from sluice.cli.redrive import redrive
from sluice.cli.rejects import rejects
from sluice.cli.remove import remove
from sluice.cli.rollback import rollback
from sluice.cli.show import show
from sluice.cli.snapshot import snapshot
from sluice.cli.status import status
from sluice.cli.verify import verify
from sluice.errors import SluiceError
from sluice.text import printable

COMMANDS: Sequence[Callable[..., Exit | None]] = (
    status,
    log,
    show,
    diff,
    rejects,
    rollback,
    pins,
    pin,
    unpin,
    remove,
    snapshot,
    rebind,
    reconcile,
    redrive,
    verify,
    index,
)
"""The commands in the order of help and reference.  Each returns its exit code; ``None`` is
``OK``."""

_EXITS = "\n".join(f"* `{code.value}`: {code.meaning}" for code in Exit)


def _version() -> str:
    try:
        return version("sluice")
    except PackageNotFoundError:
        return "of a source tree, not installed"


app = App(
    name="sluice",
    help="Ask a conda channel on S3 how it is and what happened to it, and change that.",
    help_epilogue=f"Exit codes:\n\n{_EXITS}",
    help_format="markdown",
    version=_version,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for _position, _command in enumerate(COMMANDS):
    app.command(_command, sort_key=_position)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (by default, that of the process) and return its exit code."""
    try:
        code = app(arguments, exit_on_error=False)
    except CycloptsError:  # it has printed its message
        return Exit.USAGE_ERROR
    except SluiceError as error:
        errors = Console(stderr=True, highlight=False)
        errors.print(f"sluice: {printable(str(error))}", markup=False, soft_wrap=True)
        return exit_for_error(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        return Exit.FAILED
    except Exception:  # noqa: BLE001 - Python's own exit code would mean a difference
        traceback.print_exc()
        return Exit.FAILED
    return Exit.OK if code is None else int(code)


def main() -> NoReturn:
    """Run the program and exit."""
    sys.exit(run())
