"""Commits: the history of a subdir, one object for each generation."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import unpack_json
from sluice.conda.timestamps import EpochMs

FORMAT = 1
"""The newest format of commits that this version reads, and the one that it writes."""


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """A person's decision that made a generation, in place of a merge."""

    reason: str
    rolled_back_to: int | None = None
    """The generation whose content this one has; ``None`` if it is no rollback."""
    pinned: list[str] = []
    """Files that are pinned out from this generation on."""
    unpinned: list[str] = []


class InputChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation changes besides packages: the channel's configuration and its patch."""

    config: Literal["added", "changed", "removed"] | None = None
    """What happened to ``sluice.toml``, valid or not; ``None``: it is the object of before."""
    settings: list[str] = []
    """The settings with another value, by their keys in ``sluice.toml``."""
    patch: str | None = None
    """The package whose patch is active from now on."""
    patch_removed: bool = False
    """Whether no patch is active any more."""
    refused: list[str] = []
    """A sentence for each configuration or patch that cannot be used.  ``noarch`` lists them."""


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of one generation.  Named by its digest, so a loser's commit is garbage."""

    generation: int
    tree: str
    """Digest of the tree."""
    parent: str | None
    """Digest of the previous commit; ``None`` for the first."""
    at: EpochMs
    """Commit time."""
    added: list[str]
    replaced: list[str]
    removed: list[str]
    rejected: list[str]
    taken_over: int = 0
    """Number of records from the index that was there before sluice."""
    taken_over_shards: str | None = None
    """Digest of the shard index that was there before sluice.  Clients may still hold it, so its
    shards are kept as long as those of any other generation."""
    config: str | None = None
    """Digest of the active channel configuration."""
    patch: str | None = None
    """Digest of the active patch instructions."""
    amendment: Amendment | UnsetType = UNSET
    """Absent in the commits of merges."""
    inputs: InputChanges | UnsetType = UNSET
    """Absent if configuration and patch stay as they were, and in the commits of sluice 0.1."""
    format: int = FORMAT


def encode_commit(commit: Commit) -> bytes:
    """Serialize a commit."""
    return msgspec.json.encode(commit)


def decode_commit(body: bytes, *, what: str) -> Commit:
    """Parse a commit; raises ``Corrupt`` and ``TooNew``, which name ``what``."""
    return unpack_json(body, Commit, newest=FORMAT, what=what)
