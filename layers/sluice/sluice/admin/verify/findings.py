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


_INDEXED = "--repair reads the package again and indexes it"
_WRITTEN = "--repair writes the file again from the catalog"
_REBUILT = "--repair deletes the head, takes over the published index, and reads every package"
_REPAIRS = {
    Defect.HEAD_DAMAGED: _REBUILT,
    Defect.TREE_DAMAGED: _REBUILT,
    Defect.COMMIT_DAMAGED: "cannot be repaired: the changes of this generation are lost, but no "
    "later generation needs them",
    Defect.LEAF_DAMAGED: "--repair takes over the name from the published index, and reads its "
    "packages again",
    Defect.NODE_WRONG: "--repair commits the name again",
    Defect.SHARD_DAMAGED: "--repair writes the shard again from its leaf",
    Defect.FILE_MISSING: _WRITTEN,
    Defect.FILE_FOREIGN: _WRITTEN,
    Defect.FILE_BEHIND: _WRITTEN,
    Defect.FILE_WRONG: _WRITTEN,
    Defect.PACKAGE_UNKNOWN: _INDEXED,
    Defect.PACKAGE_CHANGED: _INDEXED,
    Defect.PACKAGE_GONE: "--repair removes the package from the index",
    Defect.PACKAGE_WRONG: "--repair reads the whole package and indexes it",
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
