"""Commits: the history of a subdir, one object for each generation."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import FORMAT, unpack_json


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided, where it was no merge that made a generation."""

    reason: str
    rolled_back_to: int | None = None
    """The generation whose content this one has; ``None`` where it was no rollback."""
    pinned: list[str] = []
    """Files kept out from here on."""
    unpinned: list[str] = []


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What one generation changed.  Named by its digest, so a loser's commit is garbage."""

    generation: int
    tree: str
    """Digest of the tree."""
    parent: str | None
    """Digest of the commit before; ``None`` for the first."""
    at: int
    """ms since the epoch."""
    added: list[str]
    replaced: list[str]
    removed: list[str]
    rejected: list[str]
    taken_over: int = 0
    """How many records came from the index that was there before sluice."""
    taken_over_shards: str | None = None
    """Digest of the shard index that was there before sluice.  Clients may hold it for a while
    yet, so its shards must outlive it as those of any other generation do."""
    config: str | None = None
    """Digest of the channel configuration in force."""
    patch: str | None = None
    """Digest of the patch instructions in force."""
    amendment: Amendment | UnsetType = UNSET
    """Absent in what merges commit."""
    format: int = FORMAT


def encode_commit(commit: Commit) -> bytes:
    """Serialise a commit."""
    return msgspec.json.encode(commit)


def decode_commit(body: bytes, *, what: str) -> Commit:
    """Read a commit; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack_json(body, Commit, what=what)
