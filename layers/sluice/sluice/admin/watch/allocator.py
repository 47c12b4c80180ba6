"""Keeps the memory of a process small that runs for months."""

from __future__ import annotations

import ctypes
import sys

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
"""Of ``mallopt``: mallopt(3) of glibc."""
_ARENAS_MAX = 2
_MAPPED_BYTES_MIN = 256 * 1024


def keep_memory_small() -> None:
    """Have freed memory given back to the system, where the C library is glibc.

    It gives threads arenas of their own, eight for each core, and none gives back what it once
    needed.  Each thread that compresses an index file for the first time then adds some MiB.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and no arenas
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS_MAX)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES_MIN)
