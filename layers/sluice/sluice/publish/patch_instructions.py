"""``patch_instructions.json``: the instructions of the active patch, as in conda-index."""

from __future__ import annotations

import msgspec

from sluice.conda.patch import PatchInstructions
from sluice.publish.fence import Stamp


def render_patch_instructions(instructions: PatchInstructions | None, *, stamp: Stamp) -> bytes:
    """Serialize; ``None`` is a patch that says nothing about the subdir."""
    plain = msgspec.to_builtins(instructions or PatchInstructions(), order="sorted")  # sets, too
    return msgspec.json.encode({**plain, "sluice": stamp.body}, order="sorted")
