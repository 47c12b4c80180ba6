"""The forms in which an index file is published, told by its name."""

from __future__ import annotations

import bz2

from sluice import zstd


def as_named(file: str, body: bytes) -> bytes:
    """Compress as the file's name says."""
    if file.endswith(".zst"):
        return zstd.compress(body)
    return bz2.compress(body) if file.endswith(".bz2") else body
