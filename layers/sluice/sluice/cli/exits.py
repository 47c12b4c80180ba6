"""Exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of all commands."""

    OK = 0
    ISSUES_FOUND = 1
    USAGE_ERROR = 2
    FAILED = 3
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """The meaning, for help and reference."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.OK: "all is well, or was done",
    Exit.ISSUES_FOUND: "something is not as it should be, and the answer says what",
    Exit.USAGE_ERROR: "the command was called in a way that cannot be; nothing was done",
    Exit.FAILED: "it could not be done: something is not there, or a service did not answer",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}
