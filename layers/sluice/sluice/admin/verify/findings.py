"""The findings of ``verify``: what can be wrong with a channel."""

from __future__ import annotations

from enum import Enum

import msgspec

from sluice.layout import Subdir


class Defect(Enum):
    """The kinds of findings."""

    HEAD_DAMAGED = "head-damaged"
    TREE_DAMAGED = "tree-damaged"
    COMMIT_DAMAGED = "commit-damaged"
    LEAF_DAMAGED = "leaf-damaged"
    """A leaf is missing, or its bytes do not match its digest.  If it is in a pack, the object is
    that."""
    NODE_WRONG = "node-wrong"
    """The tree's data about a name differ from its leaf."""
    SHARD_DAMAGED = "shard-damaged"
    """A shard is missing, or its bytes do not match its digest."""
    FILE_MISSING = "file-missing"
    FILE_FOREIGN = "file-foreign"
    """Another tool wrote an index file."""
    FILE_BEHIND = "file-behind"
    """An index file has another generation than the head, or should no longer exist."""
    FILE_WRONG = "file-wrong"
    """An index file has the stamp of its generation, but not the content."""
    PACKAGE_UNKNOWN = "package-unknown"
    """The package exists, and the catalog does not know it."""
    PACKAGE_CHANGED = "package-changed"
    """Another object exists than the one that was indexed."""
    PACKAGE_GONE = "package-gone"
    """The catalog knows the package, and it does not exist."""
    PACKAGE_WRONG = "package-wrong"
    """The indexed object has other digests than its record (only with ``deep``)."""

    @property
    def repair(self) -> str:
        """How to repair it, for people."""
        return _REPAIRS[self]


_INDEXED = "the package is looked at, and indexed"
_WRITTEN = "the file is written again from the catalog"
_REPAIRS = {
    Defect.HEAD_DAMAGED: "the head is deleted, the published index taken over, every package read",
    Defect.TREE_DAMAGED: "the head is deleted, the published index taken over, every package read",
    Defect.COMMIT_DAMAGED: "nothing: what that generation changed is lost; no later one needs it",
    Defect.LEAF_DAMAGED: "the name is taken over from the published index, its packages read again",
    Defect.NODE_WRONG: "the name is committed anew",
    Defect.SHARD_DAMAGED: "the shard is written again from its leaf",
    Defect.FILE_MISSING: _WRITTEN,
    Defect.FILE_FOREIGN: _WRITTEN,
    Defect.FILE_BEHIND: _WRITTEN,
    Defect.FILE_WRONG: _WRITTEN,
    Defect.PACKAGE_UNKNOWN: _INDEXED,
    Defect.PACKAGE_CHANGED: _INDEXED,
    Defect.PACKAGE_GONE: "the package is taken out of the index",
    Defect.PACKAGE_WRONG: "the package is read from its first byte to its last, and indexed",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding."""

    kind: Defect
    subdir: str | None
    """``None`` for an object of the whole channel."""
    object: str
    """Key of the object."""
    reason: str
    name: str | None = None
    """The package name that the object is about."""


class CheckResults:
    """The findings about one subdir, or about the channel."""

    def __init__(self, subdir: Subdir | None) -> None:
        self._subdir = subdir.name if subdir else None
        self.findings: list[Finding] = []
        self.unchecked: list[str] = []
        """What could not be checked, and why."""

    def add_finding(self, kind: Defect, key: str, reason: str, *, name: str | None = None) -> None:
        """Add a finding."""
        self.findings.append(
            Finding(kind=kind, subdir=self._subdir, object=key, reason=reason, name=name)
        )
