"""The cache of reconcile: answers that need no second request because they cannot change.

It holds facts about immutable things, and no verdicts: the stamp of one version of a file, and the
patch of one tree of ``noarch``.  The current version and the current tree are read each time, and
verdicts are made each time.  Only good news comes from the cache: a file that seems to need work is
read anyway.  So the cache saves requests and decides nothing; it may be lost, or come back, at any
time.

``ObjectId`` identifies a version.  That is the version that was read, or another with the same
bytes, written within the same second.  Bytes of ours have the same generation and tree as their
metadata, so clients see no difference.  The fence, which has no cache, treats a copy without our
metadata as another tool's, and overwrites it with the next generation.
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
    """The stamp in its metadata; ``None``: it is another tool's."""


class NoarchPatch(msgspec.Struct, frozen=True, kw_only=True):
    """The patch of one generation of ``noarch``, which decides for the whole channel."""

    tree: str
    """Digest."""
    patch: ActivePatch | None


class ReconcileCache(msgspec.Struct, frozen=True, kw_only=True):
    """The cached facts about one subdir."""

    files: dict[str, CachedHead] = msgspec.field(default_factory=dict)
    """By filename."""
    noarch: NoarchPatch | None = None
    """The patch of ``noarch``, if the configuration names a patch package; not in ``noarch``
    itself."""
