"""The brake: a limit on how much of an index a comparison may remove at once.  Pure.

A comparison of a bucket with its catalog finds packages that are gone.  If they are a small part of
an index, an event was lost.  If they are most of it, somebody may have emptied a bucket by mistake,
and an index without these packages would break every client at once.  So such a removal waits for
some days, or for a person who confirms it.  Removals with an event never wait, and neither do
additions.

The wait has an end.  Waiting does not bring the objects back, and an index that refers to missing
objects forever is worse than one without them.

The days are counted for each file, not for the set of them: a set that grows a little every day
would never be the same for long enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from sluice.catalog.codec import unpack_json
from sluice.conda.timestamps import EpochMs
from sluice.limits import BRAKE_PACKAGES_MIN

FORMAT = 1
"""The newest format of brake records that this version reads, and the one that it writes."""

DIGEST_CHARS = 12
DAY_MS = 24 * 60 * 60 * 1000


class BrakeState(msgspec.Struct, frozen=True, kw_only=True):
    """The stored brake state of one subdir.

    It may be deleted at any time: the days are then counted from the beginning.
    """

    removed: dict[str, EpochMs] = msgspec.field(default_factory=dict)
    """Packages that were in the index, by filename: when a comparison last staged the removal
    without a wait."""
    pending: dict[str, EpochMs] = msgspec.field(default_factory=dict)
    """Missing files that wait, by filename: when a comparison first found each missing."""
    confirmed: dict[str, EpochMs] = msgspec.field(default_factory=dict)
    """Files that wait, by filename: when a person confirmed the removal."""
    waiting: str | None = None
    """Name of the period of waiting that ``pending`` and ``confirmed`` belong to.  They count only
    while the subdir's marks have the same name.  A comparison that finds nothing missing ends the
    period there, and need not read this object (``reconcile.publication_log``)."""
    format: int = FORMAT


class MissingFile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A missing file, as the catalog knows it.  There may be a hundred thousand."""

    indexed: bool
    """Whether the file is in the index; rejected packages and pins are not."""
    modified: int
    """Upload time of the object: S3's clock, seconds since the epoch."""

    @property
    def uploaded_before(self) -> EpochMs:
        """A time after the upload: S3 rounds times down to the second."""
        return (self.modified + 1) * 1000


class WaitingRemovals(msgspec.Struct, frozen=True, kw_only=True):
    """Removals that wait."""

    files: int
    """Number of files, including rejected packages and pins."""
    packages: int
    """Number of files that are in the index."""
    of: int
    """Number of packages in the index, or before the removals of the last days."""
    digest: str
    """A name of the set of missing files, for confirming their removal."""
    since: EpochMs
    """When the first of them was found missing."""
    until: EpochMs | None
    """The next comparison after this time removes the last of them; ``None`` if the days have not
    begun, because no comparison has found them missing yet."""


@dataclass(frozen=True, slots=True)
class RemovalDecision:
    """What to do about the missing files of one subdir.  Filenames are in order."""

    state: BrakeState
    """The state to store before anything is carried out."""
    to_remove: list[str]
    waiting: WaitingRemovals | None
    confirmed: bool
    """Whether a person confirmed exactly this."""


def decode_brake_state(body: bytes, *, what: str) -> BrakeState:
    """Parse the stored state; raises ``Corrupt`` and ``TooNew``, which name ``what``."""
    return unpack_json(body, BrakeState, newest=FORMAT, what=what)


def encode_brake_state(state: BrakeState) -> bytes:
    """Serialize."""
    return msgspec.json.encode(state, order="deterministic")


def filenames_digest(filenames: Iterable[str]) -> str:
    """A name of a set of files."""
    lines = "\n".join(sorted(filenames))
    return sha256(lines.encode()).hexdigest()[:DIGEST_CHARS]


def describe_invalid_digest(text: str | None) -> str | None:
    """Describe what is wrong with the digest that a person gave, if anything is."""
    if text is None or re.fullmatch(f"[0-9a-f]{{{DIGEST_CHARS}}}", text):
        return None
    return (
        f"{text!r} is not the digest of pending removals: use the digest from a report, "
        f"{DIGEST_CHARS} hexadecimal digits"
    )


def exceeds_removal_limit(missing: int, total: int) -> bool:
    """Whether ``missing`` files out of ``total`` are too many to remove at once."""
    return total >= BRAKE_PACKAGES_MIN and 2 * missing > total


def decide_removals(
    state: BrakeState,
    missing: Mapping[str, MissingFile],
    packages: int,
    *,
    now_ms: EpochMs,
    days: int,
    confirm: str | None = None,
) -> RemovalDecision:
    """Decide about all files of a subdir that a comparison finds missing at ``now_ms``.

    ``missing``: by filename.  ``packages``: the number of packages in the index, including missing
    ones.  ``days``: 0 turns the brake off.  ``confirm``: the digest that a person gave.

    Removals of the last ``days`` that did not wait count as well: a third of an index today and a
    third tomorrow is one removal.  Removals that a person confirmed, or that have waited, do not
    count: after those a new period begins.

    The result does not change if the decision is made again with the state that it returns.
    """
    files = sorted(missing)
    digest = filenames_digest(files)
    if not days:
        return RemovalDecision(BrakeState(), files, None, confirmed=False)
    window_ms = days * DAY_MS
    indexed = {file for file in files if missing[file].indexed}
    # A clock that was ahead must not make anything wait until that time.
    removed = {
        file: min(at, now_ms) for file, at in state.removed.items() if now_ms - at < window_ms
    }
    removed_earlier = len(removed.keys() - indexed)
    total = packages + removed_earlier
    is_confirmed = bool(files) and confirm == digest
    if not exceeds_removal_limit(len(indexed) + removed_earlier, total):
        removed |= dict.fromkeys(indexed, now_ms)
        return RemovalDecision(BrakeState(removed=removed), files, None, confirmed=is_confirmed)
    pending = _still_missing(state.pending, missing)
    since = {file: min(pending.get(file, now_ms), now_ms) for file in files}
    confirmed = _still_missing(state.confirmed, missing)
    if is_confirmed:  # by any clock
        confirmed = {file: max(now_ms, missing[file].uploaded_before) for file in files}
    still_waiting = [
        file for file in files if file not in confirmed and now_ms - since[file] < window_ms
    ]
    waiting_set = set(still_waiting)
    return RemovalDecision(
        BrakeState(removed=removed, pending=since, confirmed=confirmed, waiting=state.waiting),
        [file for file in files if file not in waiting_set],
        WaitingRemovals(
            files=len(still_waiting),
            packages=sum(missing[file].indexed for file in still_waiting),
            of=total,
            digest=digest,
            since=min(since[file] for file in still_waiting),
            until=max(since[file] for file in still_waiting) + window_ms,
        )
        if still_waiting
        else None,
        confirmed=is_confirmed,
    )


def _still_missing(times: Mapping[str, int], missing: Mapping[str, MissingFile]) -> dict[str, int]:
    """The files that are still missing, and since when.

    A file that was uploaded since does not count: another object was there in between.
    """
    return {
        file: at
        for file, at in times.items()
        if file in missing and missing[file].uploaded_before <= at
    }
