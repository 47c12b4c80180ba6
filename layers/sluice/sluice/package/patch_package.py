"""Patch packages: ``<subdir>/patch_instructions.json`` in their payload.

There is no CEP for them; conda-index and rattler-index read the same files.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from sluice.conda import patch
from sluice.conda.names import is_subdir
from sluice.conda.patch import PatchInstructions
from sluice.errors import BadPackage
from sluice.layout import PATCH_INSTRUCTIONS
from sluice.limits import (
    MIB,
    PATCH_INSTRUCTIONS_BYTES_MAX,
    PATCH_PACKAGE_BYTES_MAX,
    PATCH_UNPACKED_BYTES_MAX,
)
from sluice.package import conda_zip, tar_bz2
from sluice.package.tar_stream import read_matching_members
from sluice.storage.object_store import ObjectStore


class PatchPackage(NamedTuple):
    """The content of a patch package."""

    sha256: str
    """SHA-256 of the bytes that were read: the object may differ from the indexed one."""
    instructions: PatchInstructions | None
    """The instructions for the requested subdir."""


def read_patch_package(store: ObjectStore, key: str, subdir: str) -> PatchPackage | None:
    """Read a patch package in full, one file after the other; ``None`` if it does not exist.

    Raises ``BadPackage`` if the instructions for any subdir cannot be applied: all subdirs use a
    patch, or none.  Raises ``Archived`` and ``Unavailable``.
    """
    file = key.rpartition("/")[2]
    with store.open(key) as opened:
        if opened is None:
            return None
        if opened.info.size > PATCH_PACKAGE_BYTES_MAX:
            raise BadPackage(
                "patch-too-large",
                f"{file} has {opened.info.size // MIB} MiB; the limit for a patch package is "
                f"{PATCH_PACKAGE_BYTES_MAX // MIB} MiB.",
            )
        body = b"".join(opened.chunks)
    unpacked = (
        conda_zip.unpack_payload(body, file)
        if file.endswith(conda_zip.SUFFIX)
        else tar_bz2.unpack_tar_bz2([body], file)
    )
    by_subdir: dict[str, PatchInstructions | None] = {}
    for name, content in read_matching_members(
        unpacked,
        file,
        is_wanted=_is_instructions,
        bytes_max=PATCH_INSTRUCTIONS_BYTES_MAX,
        unpacked_bytes_max=PATCH_UNPACKED_BYTES_MAX,
    ):
        instructions = patch.parse_patch_instructions(content, source=f"{file}: {name}")
        folder = name.partition("/")[0]
        # Real ones take hundreds of MiB in memory, so at most one is kept.
        by_subdir[folder] = instructions if folder == subdir else None
    if not by_subdir:
        raise BadPackage(
            "patch-invalid",
            f"{file} does not contain any <subdir>/{PATCH_INSTRUCTIONS}, so it patches nothing.",
        )
    return PatchPackage(sha256(body).hexdigest(), by_subdir.get(subdir))


def _is_instructions(name: str) -> bool:
    subdir, _, filename = name.partition("/")
    return filename == PATCH_INSTRUCTIONS and is_subdir(subdir)
