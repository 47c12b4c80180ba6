"""Memory: what reconcile need not ask again, because the answer cannot have changed.

It holds facts about what is immutable, and no verdicts: what one version of a file says of itself,
and which patch one tree of ``noarch`` was made with.  Which version and which tree are there now is
looked at each time, and what follows is judged each time.  Only good news is taken from it: what
does not seem to be in order by what is remembered is looked at all the same.  So it saves requests
and decides nothing; it may be lost, or come back, at any time.

A version is told by its ``ObjectId``.  That is the version that was looked at, or another with the
very bytes, written within the same second.  Bytes of ours say the same generation and tree as their
metadata, so clients are told nothing else; and the fence, which remembers nothing, takes a copy
without our metadata for another tool's and overwrites it with the next generation.
"""

from __future__ import annotations

import msgspec

from sluice.catalog.tree import ActivePatch
from sluice.publish.fence import Stamp
from sluice.storage.object_id import ObjectId


class CachedHead(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an index file."""

    identity: ObjectId
    stamp: Stamp | None
    """What its metadata says; ``None``: it is another tool's."""


class NoarchPatch(msgspec.Struct, frozen=True, kw_only=True):
    """The patch of one generation of ``noarch``, which decides for the whole channel."""

    tree: str
    """Digest."""
    patch: ActivePatch | None


class ReconcileCache(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one subdir."""

    files: dict[str, CachedHead] = msgspec.field(default_factory=dict)
    """By filename."""
    noarch: NoarchPatch | None = None
    """Where the configuration names a patch package; not in ``noarch`` itself."""
