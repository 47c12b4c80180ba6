"""Which files a subdir has for clients, and made of what: a function of its tree."""

from __future__ import annotations

from sluice.catalog.tree import Tree
from sluice.channel_config import ChannelConfig
from sluice.layout import (
    CURRENT_REPODATA,
    CURRENT_REPODATA_ZST,
    FROM_PACKAGES,
    FROM_PACKAGES_ZST,
    PATCH_INSTRUCTIONS,
    REPODATA,
    REPODATA_BZ2,
    REPODATA_ZST,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
    SHARD_INDEX,
)
from sluice.publish.fence import Stamp

ALL_OUTPUTS = (
    SHARD_INDEX,
    REPODATA_ZST,
    REPODATA,
    REPODATA_BZ2,
    CURRENT_REPODATA,
    CURRENT_REPODATA_ZST,
    PATCH_INSTRUCTIONS,
    FROM_PACKAGES,
    FROM_PACKAGES_ZST,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
)
"""All that there can be, in the order in which they are written."""


def wanted_outputs(tree: Tree, config: ChannelConfig) -> list[str]:
    """The files that there should be, in the order in which they are written."""
    patched = tree.inputs and tree.inputs.patch is not None
    wanted = {
        SHARD_INDEX: config.write_shards,
        REPODATA_ZST: config.write_zst,
        REPODATA: True,
        REPODATA_BZ2: config.repodata_bz2,
        CURRENT_REPODATA: config.current_repodata,
        CURRENT_REPODATA_ZST: config.current_repodata,
        PATCH_INSTRUCTIONS: patched,
        FROM_PACKAGES: patched,
        FROM_PACKAGES_ZST: patched,
        RUN_EXPORTS: config.run_exports,
        RUN_EXPORTS_ZST: config.run_exports,
    }
    return [file for file in ALL_OUTPUTS if tree.public and wanted[file]]


def file_stamp(file: str, tree: Tree, ours: Stamp) -> Stamp:
    """What a file of a generation is stamped with, where ``ours`` is the generation's stamp.

    ``patch_instructions.json`` is made of the patch alone, however many generations that is in
    force for, so its time stands in for the generation: it grows just so.
    """
    patch = tree.inputs.patch if tree.inputs else None
    if file != PATCH_INSTRUCTIONS:
        return ours
    # Without a patch, what an earlier one says is as old as that was.
    return Stamp(patch.at if patch else tree.at, patch.sha256 if patch else "", ours.owner)
