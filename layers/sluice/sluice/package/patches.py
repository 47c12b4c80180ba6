"""What a patch package says: ``<subdir>/patch_instructions.json`` in its payload.

There is no CEP for it; conda-index and rattler-index read the same files.
"""

from __future__ import annotations

from sluice import patch
from sluice.errors import BadPackage
from sluice.keys import PATCH_INSTRUCTIONS, is_subdir
from sluice.limits import (
    MIB,
    PATCH_INSTRUCTIONS_BYTES_MAX,
    PATCH_PACKAGE_BYTES_MAX,
    PATCH_UNPACKED_BYTES_MAX,
)
from sluice.package import conda, tarbz2
from sluice.package.tarball import read_matching
from sluice.patch import Instructions
from sluice.store import ObjectStore


def read_patches(store: ObjectStore, key: str) -> dict[str, Instructions] | None:
    """Read a patch package whole: its instructions by subdir; ``None`` where it is not there.

    Raises ``BadPackage`` where any of them cannot be applied, ``Archived`` and ``Unavailable``.
    """
    file = key.rpartition("/")[2]
    with store.open(key) as opened:
        if opened is None:
            return None
        if opened.info.size > PATCH_PACKAGE_BYTES_MAX:
            raise BadPackage(
                "patch-too-large",
                f"{file} has {opened.info.size // MIB} MiB; of a patch package "
                f"{PATCH_PACKAGE_BYTES_MAX // MIB} MiB are read at most.",
            )
        body = b"".join(opened.chunks)
    unpacked = (
        conda.unpack_payload(body, file)
        if file.endswith(conda.SUFFIX)
        else tarbz2.unpack([body], file)
    )
    found = read_matching(
        unpacked,
        file,
        wanted=_is_instructions,
        bytes_max=PATCH_INSTRUCTIONS_BYTES_MAX,
        unpacked_bytes_max=PATCH_UNPACKED_BYTES_MAX,
    )
    if not found:
        raise BadPackage(
            "patch-invalid",
            f"{file} contains no <subdir>/{PATCH_INSTRUCTIONS}: it patches nothing.",
        )
    return {
        name.partition("/")[0]: patch.parse(content, what=f"{file}: {name}")
        for name, content in found.items()
    }


def _is_instructions(name: str) -> bool:
    subdir, _, rest = name.partition("/")
    return rest == PATCH_INSTRUCTIONS and is_subdir(subdir)
