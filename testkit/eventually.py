"""Waiting for what comes to pass by itself: by looking again, never by sleeping long enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.2
SECONDS_MAX = 180.0
"""Generous: it is only reached where something is wrong, and machines may be busy."""


def eventually(
    look: Callable[[], T],
    holds: Callable[[T], bool],
    *,
    what: str,
    explain: Callable[[], str] = str,
    seconds_max: float = SECONDS_MAX,
) -> T:
    """Look until what is seen ``holds``, and return it.

    Raises ``AssertionError``, with what was seen last and what ``explain`` has to say, where
    that has not happened within the time.
    """
    deadline = time.monotonic() + seconds_max
    while not holds(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not in {seconds_max:.0f} s, but {seen!r}\n{explain()}")
        time.sleep(_POLL_SECONDS)
    return seen
