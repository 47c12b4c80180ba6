"""Which files a subdir has for clients: a function of its tree."""

from __future__ import annotations

from sluice.catalog.tree import Tree
from sluice.config import ChannelConfig
from sluice.keys import (
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

ALL = (
    SHARD_INDEX,
    REPODATA_ZST,
    REPODATA,
    REPODATA_BZ2,
    PATCH_INSTRUCTIONS,
    FROM_PACKAGES,
    FROM_PACKAGES_ZST,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
)
"""All that there can be, in the order in which they are written."""


def outputs(tree: Tree, config: ChannelConfig) -> list[str]:
    """The files that there should be, in the order in which they are written."""
    patched = tree.inputs and tree.inputs.patch is not None
    wanted = {
        SHARD_INDEX: config.write_shards,
        REPODATA_ZST: config.write_zst,
        REPODATA: True,
        REPODATA_BZ2: config.repodata_bz2,
        PATCH_INSTRUCTIONS: patched,
        FROM_PACKAGES: patched,
        FROM_PACKAGES_ZST: patched,
        RUN_EXPORTS: config.run_exports,
        RUN_EXPORTS_ZST: config.run_exports,
    }
    return [file for file in ALL if tree.public and wanted[file]]
