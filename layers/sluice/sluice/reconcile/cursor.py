"""The position of a reconcile run: keys, which mean the same whenever the run continues."""

from __future__ import annotations

from enum import Enum

import msgspec

from sluice.layout import Subdir


class Phase(Enum):
    """The phases of the search for subdirs, in order; each subdir belongs to exactly one."""

    PACKAGES = "packages"
    """Subdirs with packages in the channel bucket."""
    HEADS = "heads"
    """Subdirs in the catalog without any package in the bucket."""
    STAGING = "staging"
    """Subdirs in the staging log without a package or a head."""


class Unfinished(msgspec.Struct, frozen=True):
    """A subdir in which a step stopped."""

    subdir: Subdir
    name: str | None = None
    """The last package name that was handled; ``None``: the subdir has not been started."""
    compared: bool = False
    """Whether all names were compared, and the removals decided."""
    staged: str | None = None
    """The last file whose removal was staged, if other removals are not staged yet."""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The remaining work of a run."""

    unfinished: tuple[Unfinished, ...] = ()
    """Unfinished subdirs, which come first."""
    phase: Phase | None = Phase.PACKAGES
    """``None``: only the unfinished subdirs remain."""
    after: str | None = None
    """The key after which the walk of the phase continues; ``None``: it starts."""
