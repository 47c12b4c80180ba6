"""The report of an ``index`` run."""

from __future__ import annotations

import msgspec

from sluice.catalog.brake import WaitingRemovals
from sluice.extract.misplaced import MisplacedFiles


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Something that failed; the next run tries again."""

    object: str
    """Key of a package, or a subdir."""
    reason: str


class SubdirIndexed(msgspec.Struct, kw_only=True):
    """The result for one subdir."""

    subdir: str
    generation: int = 0
    """Generation of the last commit; 0 if there was nothing to commit."""
    added: int = 0
    replaced: int = 0
    removed: int = 0
    rejected: int = 0
    taken_over: int = 0
    """Records from the index that was there before sluice."""
    files_written: int = 0
    collected: int = 0
    """Garbage objects that were deleted."""
    waiting: WaitingRemovals | None = None
    """Removals that wait for some days, or for a person who confirms them."""


class IndexReport(msgspec.Struct, kw_only=True):
    """The result of a run."""

    packages: int = 0
    """Packages in the bucket."""
    read: int = 0
    """Packages that were read."""
    subdirs: list[SubdirIndexed] = msgspec.field(default_factory=list)
    """Subdirs with something to report."""
    channel_files_written: int = 0
    failures: list[Failure] = msgspec.field(default_factory=list)
    misplaced: list[MisplacedFiles] = msgspec.field(default_factory=list)
    """Files that end like packages and are where no package is, by presumed channel."""
    problems: list[str] = msgspec.field(default_factory=list)
    """Sentences about a configuration or patch that cannot be used; the last good one stays."""
    empty: str | None = None
    """What is likely meant, if there are neither packages nor a catalog, so nothing was done."""
    confirm: str | None = None
    """The digest of removals to carry out, if one was given."""
    confirmed: int = 0
    """Subdirs that had removals with that digest."""

    @property
    def waiting(self) -> list[SubdirIndexed]:
        """The subdirs with waiting removals."""
        return [subdir for subdir in self.subdirs if subdir.waiting]
