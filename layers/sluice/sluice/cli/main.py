"""The entry point of the ``sluice`` program, which imports commands only when it runs them.

So ``--help`` does not wait for the S3 client, and Ctrl-C is silent from the start.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

_INTERRUPTED = 130
"""``Exit.INTERRUPTED``, before that is imported."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (by default, that of the process) and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words == ["--version"]:
            from sluice import __version__  # noqa: PLC0415

            sys.stdout.write(f"{__version__}\n")
            return 0
        from sluice.cli.app import run_command  # noqa: PLC0415 - see the module's docstring

        return run_command(words)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe
        from sluice.cli.exits import Exit  # noqa: PLC0415

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        return Exit.FAILED


def main() -> NoReturn:
    """Run the program and exit."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    if sys.argv[1:] != ["--version"]:
        import sluice.cli.app  # noqa: F401, PLC0415 - while Ctrl-C ends the process at once
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run()
    if code == _INTERRUPTED:
        # Not by way of Python's end, which waits for threads that wait for S3.
        _flush()
        os._exit(code)
    sys.exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody reads any more
            continue
