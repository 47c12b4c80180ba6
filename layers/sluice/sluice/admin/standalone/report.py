"""What a run of ``index`` did."""

from __future__ import annotations

import msgspec

from sluice.catalog.brake import WaitingRemovals


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be done; the next run tries again."""

    object: str
    """Key of a package, or a subdir."""
    reason: str


class SubdirIndexed(msgspec.Struct, kw_only=True):
    """What became of one subdir."""

    subdir: str
    generation: int = 0
    """After the last commit; 0 where there was nothing to commit."""
    added: int = 0
    replaced: int = 0
    removed: int = 0
    rejected: int = 0
    taken_over: int = 0
    """Records that came from the index that was there before sluice."""
    files_written: int = 0
    collected: int = 0
    """Objects that were garbage."""
    waiting: WaitingRemovals | None = None
    """Removals that wait for some days, or for a person who confirms them."""


class IndexReport(msgspec.Struct, kw_only=True):
    """What a run did."""

    packages: int = 0
    """In the bucket."""
    read: int = 0
    """Packages that were read."""
    subdirs: list[SubdirIndexed] = msgspec.field(default_factory=list)
    """Those of which there is anything to tell."""
    channel_files_written: int = 0
    failures: list[Failure] = msgspec.field(default_factory=list)
    confirm: str | None = None
    """The digest of removals that was to be carried out."""
    confirmed: int = 0
    """Subdirs that had removals of that digest."""

    @property
    def waiting(self) -> list[SubdirIndexed]:
        """The subdirs in which removals wait."""
        return [subdir for subdir in self.subdirs if subdir.waiting]
