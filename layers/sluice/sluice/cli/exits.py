"""With what the command line exits, and why."""

from __future__ import annotations

from enum import IntEnum

from sluice.errors import Misconfigured, Misused, SluiceError, UnknownEvent


class Exit(IntEnum):
    """The exit codes of all commands."""

    FINE = 0
    DIFFERENT = 1
    MISUSED = 2
    FAILED = 3
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it tells, as help and reference have it."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.FINE: "all is well, or was done",
    Exit.DIFFERENT: "something is not as it should be, and the answer says what",
    Exit.MISUSED: "the command was called in a way that cannot be; nothing was done",
    Exit.FAILED: "it could not be done: something is not there, or a service did not answer",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}


def exit_of(error: SluiceError) -> Exit:
    """With what to exit because of an error."""
    misused = isinstance(error, Misused | Misconfigured | UnknownEvent)
    return Exit.MISUSED if misused else Exit.FAILED
