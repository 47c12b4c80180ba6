"""A package that takes long to unpack and has no metadata, as a hostile publisher makes it."""

from __future__ import annotations

import bz2
import tarfile
from random import Random

from sluice.limits import MIB

_BLOCK = (Random(0).randbytes(5000) * 180)[:899_000]  # noqa: S311 - to be repeated
_BLOCKS = 80 * MIB // len(_BLOCK)


def bz2_bomb() -> bytes:
    """1.2 MiB without an info/index.json, which take some 2 s of CPU until they are rejected."""
    header = tarfile.TarInfo("lib/data")
    header.size = _BLOCKS * len(_BLOCK)
    return bz2.compress(header.tobuf()) + bz2.compress(_BLOCK) * _BLOCKS
