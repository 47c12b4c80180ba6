"""The list of commands, and how their errors are printed."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import lru_cache

from cyclopts import App, CycloptsError

from sluice import __version__
from sluice.cli.console import make_console
from sluice.cli.exits import Exit
from sluice.cli.usage_errors import describe_usage_error

COMMANDS: Mapping[str, str] = {
    "status": "Show the status of a channel: its content, its pending work and its problems.",
    "log": "Show the history of a channel: the generations that are still kept, newest first.",
    "show": "Show one generation of a subdir: its changes, and its content at that time.",
    "diff": "Show the differences between two generations of a subdir.",
    "rejects": "Show which files are not in the index, why, and how to fix them.",
    "rollback": "Restore a subdir to an older generation.",
    "pins": "List the files that are kept out of the index on purpose.",
    "pin": "Keep packages out of the index until they are uploaded again or unpinned.",
    "unpin": "Let pinned packages back into the index.",
    "remove": "Remove packages from the index, then delete them, so that no client gets a 404.",
    "snapshot": "Publish a past state of a channel as a new channel, without copying packages.",
    "rebind": "Bind the catalog of a channel to another bucket, or to a restored one.",
    "retire": "Delete the index files and the catalog of a channel that has no packages left.",
    "reconcile": "Make the stack compare a channel with its catalog and repair the differences.",
    "redrive": "Send the messages in the stack's dead-letter queues again.",
    "verify": "Check a channel against its catalog: every head, tree, leaf, shard, index file and "
    "package.",
    "index": "Index a channel without a stack: read, merge, publish and collect garbage.",
    "watch": "Keep channels indexed without a stack, from events and from regular listings.",
    "wait": "Wait until packages are in the index, in every format that clients read.",
    "completion": "Print the script that completes commands and options in a shell.",
}
"""The commands in the order of help and reference, with the first sentence of their help.

Stating it here avoids importing every command for a help page.  Each command is a function in the
module of the same name."""

_MODULES = {"pin": "pins", "unpin": "pins"}
"""The modules of the other commands."""

_EXITS = "\n".join(f"* `{code.value}`: {code.meaning}" for code in Exit)


@lru_cache
def make_app(*imported: str) -> App:
    """The program, with these commands imported and the others known by their summaries."""
    app = App(
        name="sluice",
        help="Index, inspect and repair conda channels on S3.",
        help_epilogue=f"Exit codes:\n\n{_EXITS}",
        help_format="markdown",
        version=__version__,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for position, (name, summary) in enumerate(COMMANDS.items()):
        app.command(
            f"sluice.cli.{_MODULES.get(name, name)}:{name}",
            name=name,
            sort_key=position,
            # A summary would also replace an imported command's own help.
            help=None if name in imported else summary,
        )
    return app


def run_command(words: Sequence[str]) -> int:
    """Run a command line and return its exit code; passes on ``KeyboardInterrupt``."""
    is_json = "--json" in words
    try:
        app = make_app(*(word for word in words[:1] if word in COMMANDS))
        code = app(
            words,
            exit_on_error=False,
            print_error=False,
            console=make_console(),
            error_console=make_console(stderr=True),
        )
    except CycloptsError as error:
        return _fail(Exit.USAGE_ERROR, "Usage", describe_usage_error(error, words), is_json=is_json)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - Python's own exit code would mean a difference
        return _fail_with(error, is_json=is_json)
    return Exit.OK if code is None else int(code)


def _fail_with(error: Exception, *, is_json: bool) -> Exit:
    """Print the error of a command, with a traceback if sluice did not raise it on purpose."""
    # Imported with the command, so this costs nothing; a help page has no errors.
    from sluice.cli.error_exits import exit_for_error  # noqa: PLC0415
    from sluice.errors import SluiceError  # noqa: PLC0415
    from sluice.text import printable  # noqa: PLC0415

    message = printable(str(error))
    if isinstance(error, SluiceError):
        return _fail(exit_for_error(error), type(error).__name__, message, is_json=is_json)
    traceback.print_exc()
    if is_json:
        _fail(Exit.FAILED, type(error).__name__, message, is_json=True)
    return Exit.FAILED


def _fail(code: Exit, kind: str, message: str, *, is_json: bool) -> Exit:
    """Print an error: a line on stderr, or with ``--json`` the document on stdout."""
    if is_json:
        error = {"kind": kind, "message": message, "exit_code": code.value}
        sys.stdout.write(json.dumps({"error": error}) + "\n")
    else:
        errors = make_console(stderr=True)
        errors.print(f"sluice: {message}", markup=False, highlight=False, soft_wrap=True)
    return code
