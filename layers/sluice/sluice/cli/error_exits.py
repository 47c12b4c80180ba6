"""The exit code for each kind of error."""

from __future__ import annotations

from sluice.cli.exits import Exit
from sluice.errors import Misconfigured, Misused, SluiceError, UnknownChannel, UnknownEvent


def exit_for_error(error: SluiceError) -> Exit:
    """The exit code for an error."""
    if isinstance(error, UnknownChannel):
        return Exit.ISSUES_FOUND
    is_usage_error = isinstance(error, Misused | Misconfigured | UnknownEvent)
    return Exit.USAGE_ERROR if is_usage_error else Exit.FAILED
