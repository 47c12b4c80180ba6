"""Where a run of reconcile goes on: positions in the key space, which mean the same at any time."""

from __future__ import annotations

from enum import Enum

import msgspec

from sluice.layout import Subdir


class Phase(Enum):
    """Where subdirs are looked for, in this order; none is found in more than one."""

    PACKAGES = "packages"
    """In the channel bucket."""
    HEADS = "heads"
    """In the catalog: subdirs of which no package is left."""
    STAGING = "staging"
    """In the log: subdirs of which neither a package nor a head is there."""


class Unfinished(msgspec.Struct, frozen=True):
    """A subdir in the middle of which a step stopped."""

    subdir: Subdir
    name: str | None = None
    """The last package name that was dealt with; ``None``: the subdir is yet to be begun."""
    compared: bool = False
    """Whether all names were, and what is missing was decided on."""
    staged: str | None = None
    """The last file whose removal was staged, where the removals of others are still to be."""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has yet to do."""

    unfinished: tuple[Unfinished, ...] = ()
    """Come first."""
    phase: Phase | None = Phase.PACKAGES
    """``None``: nothing but what is unfinished."""
    after: str | None = None
    """The key behind which the walk of the phase goes on; ``None``: it begins."""
