"""What can be wrong with a channel, one finding at a time."""

from __future__ import annotations

from enum import Enum

import msgspec

from sluice.layout import Subdir


class Defect(Enum):
    """What a finding is about, and by its name what is wrong."""

    HEAD_DAMAGED = "head-damaged"
    TREE_DAMAGED = "tree-damaged"
    COMMIT_DAMAGED = "commit-damaged"
    LEAF_DAMAGED = "leaf-damaged"
    """A leaf is missing, or its bytes are not those that its name tells."""
    NODE_WRONG = "node-wrong"
    """The tree says something of a name that its leaf does not."""
    SHARD_DAMAGED = "shard-damaged"
    """A shard is missing, or its bytes are not those that its name tells."""
    FILE_MISSING = "file-missing"
    FILE_FOREIGN = "file-foreign"
    """An index file was written by somebody else."""
    FILE_BEHIND = "file-behind"
    """An index file is of another generation than the head, or should not be there any more."""
    FILE_WRONG = "file-wrong"
    """An index file carries the stamp of its generation, and does not say what that says."""
    PACKAGE_UNKNOWN = "package-unknown"
    """The package is there, and the catalog does not know it."""
    PACKAGE_CHANGED = "package-changed"
    """Another object is there than the one that was indexed."""
    PACKAGE_GONE = "package-gone"
    """The catalog knows it, and it is not there."""
    PACKAGE_WRONG = "package-wrong"
    """The object that was indexed has other digests than its record (only with ``deep``)."""

    @property
    def repair(self) -> str:
        """What repairs it, for people."""
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
    """One thing that is not as it should be."""

    kind: Defect
    subdir: str | None
    """``None`` for what belongs to the channel as a whole."""
    object: str
    """Key of the object that is concerned."""
    reason: str
    name: str | None = None
    """Of the packages that a part of the catalog is about."""


class CheckResults:
    """The findings about one subdir, or about the channel."""

    def __init__(self, subdir: Subdir | None) -> None:
        self._subdir = subdir.name if subdir else None
        self.findings: list[Finding] = []
        self.unchecked: list[str] = []
        """What could not be held against anything, and why."""

    def add_finding(self, kind: Defect, key: str, reason: str, *, name: str | None = None) -> None:
        """Note something."""
        self.findings.append(
            Finding(kind=kind, subdir=self._subdir, object=key, reason=reason, name=name)
        )
