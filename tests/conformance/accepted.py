"""Every difference between our index and rattler-index's that is meant to be there, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple

from rattler import MatchSpec

from tests.conformance.indexed_channel import MERGED_MS

Path = tuple[str, ...]


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "(missing)"


MISSING = _Missing.MISSING


class Difference(NamedTuple):
    """One place where two documents say different things."""

    path: Path
    ours: Any
    theirs: Any


def differences(ours: Any, theirs: Any, path: Path = ()) -> Iterator[Difference]:
    """Compare two documents key by key, down to the first level that is no mapping on one side."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(key, MISSING), theirs.get(key, MISSING), (*path, key))
    elif ours != theirs or type(ours) is not type(theirs):
        yield Difference(path, ours, theirs)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A difference that is meant to be there, and where."""

    path: Path
    holds: Callable[[Any, Any], bool]
    """Whether the two values, ours and theirs, differ in the way that is meant."""
    reason: str

    def covers(self, found: Difference) -> bool:
        """Tell whether this is about a difference that was found."""
        return self.path == found.path and self.holds(found.ours, found.theirs)


def _only_ours(_ours: Any, theirs: Any) -> bool:
    return theirs is MISSING


def _only_theirs(ours: Any, _theirs: Any) -> bool:
    return ours is MISSING


def _absent_for_empty(empty: Any) -> Callable[[Any, Any], bool]:
    """One side leaves out what the other spells out as empty."""
    return lambda ours, theirs: {repr(ours), repr(theirs)} == {repr(MISSING), repr(empty)}


def _times_of_indexing(ours: Any, theirs: Any) -> bool:
    return ours in MERGED_MS and isinstance(theirs, int)


def _moments(ours: Any, theirs: Any) -> bool:
    return all(datetime.fromisoformat(moment).tzinfo == UTC for moment in (ours, theirs))


def _same_specs(ours: Any, theirs: Any) -> bool:
    return [str(MatchSpec(spec)) for spec in ours] == [str(MatchSpec(spec)) for spec in theirs]


def _folder_for_unknown(ours: Any, theirs: Any) -> bool:
    return bool(ours in ("linux-64", "osx-64")) and theirs == "unknown"


RECORD = (
    Accepted(
        ("arch",),
        _only_theirs,
        "deprecated (CEP 36: derived from the subdir); conda-index drops it too",
    ),
    Accepted(("platform",), _only_theirs, "the same"),
    Accepted(
        ("constrains",),
        _absent_for_empty([]),
        "both lists are always there, for readers that do not check",
    ),
    Accepted(
        ("indexed_timestamp",),
        _times_of_indexing,
        "ours is the commit's time (CEP 47); each side has its own clock",
    ),
    Accepted(
        ("subdir",),
        _folder_for_unknown,
        "index.json has none: ours is that of the folder, as CEP 26 wants it",
    ),
    Accepted(
        ("depends",),
        _same_specs,
        "rattler-index rewrites match specs in its own canonical form; we publish the package's",
    ),
    Accepted(("date",), _only_ours, "rattler-index drops keys that it does not know; we keep them"),
    Accepted(("preferred_env",), _only_ours, "the same"),
    Accepted(("requires",), _only_ours, "the same"),
    Accepted(("summary",), _only_ours, "the same"),
    Accepted(("zzz",), _only_ours, "the same"),
)
"""In a record of ``repodata.json``."""

REPODATA = (
    Accepted(("removed",), _absent_for_empty([]), "CEP 36 has it; ours is always there"),
    Accepted(("sluice",), _only_ours, "the fence: generation and tree (clients ignore the key)"),
    Accepted(("v3",), _absent_for_empty({}), "CEP 48; empty"),
)
"""In ``repodata.json``, but for the records."""

RECORD_OF_SHARD = (
    *RECORD,
    Accepted(
        ("run_exports",),
        _only_ours,
        "CEP 16 and 21: also that there are none, so that no client opens the package to see",
    ),
)
"""In a record of a shard."""

SHARD = (
    Accepted(("at",), _only_ours, "keeps a shard's name from recurring (clients ignore the key)"),
)
"""In a shard, but for the records."""

SHARD_INDEX = (
    Accepted(("info", "created_at"), _moments, "ours is the commit's time"),
    Accepted(("info", "sluice"), _only_ours, "the fence (clients ignore the key)"),
    Accepted(("version",), _only_ours, "CEP 16 has it"),
)
"""In the shard index, but for the digests."""


def unexplained(rules: Iterable[Accepted], found: Iterable[Difference]) -> list[Difference]:
    """The differences that nothing in the table explains."""
    return [one for one in found if not any(rule.covers(one) for rule in rules)]
