"""The bytes of what a patch says about one subdir."""

from __future__ import annotations

import msgspec

from sluice.catalog.codec import FORMAT, pack, unpack
from sluice.conda.patch import Instructions


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """As stored.  ``at`` makes the name unique: a patch that comes back gets another one."""

    at: int
    """Time of the commit that wrote it, ms since the epoch."""
    package: str
    """Filename of the patch package."""
    instructions: Instructions
    format: int = FORMAT


def encode(patch: Patch) -> bytes:
    """Serialise."""
    return pack(patch)


def decode(body: bytes, *, what: str) -> Instructions:
    """Read stored instructions; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack(body, Patch, what=what).instructions
