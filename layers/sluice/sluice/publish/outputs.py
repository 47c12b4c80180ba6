"""The files that a subdir publishes, as a function of its tree."""

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
"""All possible files, in the order in which they are written."""


def wanted_outputs(tree: Tree, config: ChannelConfig) -> list[str]:
    """The files that a subdir should have, in the order in which they are written."""
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
    """The stamp of a file, where ``ours`` is the stamp of the generation.

    ``patch_instructions.json`` depends on the patch alone, which may stay active over many
    generations.  So its time replaces the generation, because it grows in the same way.
    """
    patch = tree.inputs.patch if tree.inputs else None
    if file != PATCH_INSTRUCTIONS:
        return ours
    # Without a patch, a file from an earlier patch is as old as that patch.
    return Stamp(patch.at if patch else tree.at, patch.sha256 if patch else "", ours.owner)
