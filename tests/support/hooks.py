"""Hooks for ``MemoryStore``: let something happen at a request, the end of the process included."""

from __future__ import annotations

from collections.abc import Callable


class Death(Exception):
    """The function is killed."""


def on(operation: str, key: str, happen: Callable[[], None]) -> Callable[[str, str], None]:
    """Make a hook that lets something happen at the first such request."""
    pending = [happen]

    def hook(found_operation: str, found_key: str) -> None:
        if (found_operation, found_key) == (operation, key) and pending:
            pending.pop()()

    return hook


def die() -> None:
    """End the process."""
    raise Death
