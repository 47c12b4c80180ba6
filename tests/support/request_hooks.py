"""Hooks for ``MemoryStore``: run something at a request, or kill the process there."""

from __future__ import annotations

from collections.abc import Callable


class ProcessKilled(BaseException):
    """The process was killed.  So nothing may handle it, or keep it for later."""


def at_request(operation: str, key: str, action: Callable[[], None]) -> Callable[[str, str], None]:
    """Make a hook that calls ``action`` at the first such request."""
    pending = [action]

    def hook(actual_operation: str, actual_key: str) -> None:
        if (actual_operation, actual_key) == (operation, key) and pending:
            pending.pop()()

    return hook


def kill_process() -> None:
    """Kill the process."""
    raise ProcessKilled
