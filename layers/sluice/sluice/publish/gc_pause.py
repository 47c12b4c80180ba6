"""A pause of Python's cyclic garbage collector, for code that creates many objects."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Stop the collector from scanning half a million live records again and again.

    The pause affects the whole process.  Cyclic garbage is collected after it ends.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
