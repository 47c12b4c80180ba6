"""The bytes of what a patch says about one subdir."""

from __future__ import annotations

import msgspec

from sluice.catalog.codec import FORMAT, pack_struct, unpack_struct
from sluice.conda.patch import PatchInstructions


class StoredPatch(msgspec.Struct, frozen=True, kw_only=True):
    """As stored.  ``at`` makes the name unique: a patch that comes back gets another one."""

    at: int
    """Time of the commit that wrote it, ms since the epoch."""
    package: str
    """Filename of the patch package."""
    instructions: PatchInstructions
    format: int = FORMAT


def encode_patch(patch: StoredPatch) -> bytes:
    """Serialise."""
    return pack_struct(patch)


def decode_patch(body: bytes, *, what: str) -> PatchInstructions:
    """Read stored instructions; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack_struct(body, StoredPatch, what=what).instructions
