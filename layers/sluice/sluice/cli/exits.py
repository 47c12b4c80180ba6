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
    Exit.OK: "success, and no issues found",
    Exit.ISSUES_FOUND: "issues or differences found; the output names them",
    Exit.USAGE_ERROR: "the command line or a setting is invalid; nothing was changed",
    Exit.FAILED: "the command failed: something does not exist, or a service did not respond",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}
