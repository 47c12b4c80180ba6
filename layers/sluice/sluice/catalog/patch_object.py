"""The stored instructions of a patch about one subdir."""

from __future__ import annotations

import msgspec

from sluice.catalog.codec import pack_struct, unpack_struct
from sluice.conda.patch import PatchInstructions
from sluice.conda.timestamps import EpochMs

FORMAT = 1
"""The newest format of patch objects that this version reads, and the one that it writes."""


class StoredPatch(msgspec.Struct, frozen=True, kw_only=True):
    """The stored object.  ``at`` makes its digest unique, even if a patch comes back."""

    at: EpochMs
    """Time of the commit that wrote it."""
    package: str
    """Filename of the patch package."""
    instructions: PatchInstructions
    format: int = FORMAT


def encode_patch(patch: StoredPatch) -> bytes:
    """Serialize."""
    return pack_struct(patch, what="a patch")


def decode_patch(body: bytes, *, what: str) -> PatchInstructions:
    """Parse stored instructions; raises ``Corrupt`` and ``TooNew``, which name ``what``."""
    return unpack_struct(body, StoredPatch, newest=FORMAT, what=what).instructions
