"""The brake: how much of an index a comparison may remove on its own word.  Pure.

A comparison of a bucket with its catalog finds packages that are gone.  Where that is a small part
of an index, an event got lost.  Where it is most of it, somebody may have emptied a bucket by
mistake, and an index without these packages would break every client at once.  So such a removal
waits for some days, or for a person who confirms it.  Removals that an event tells of never wait,
and neither does anything that is added.

It waits no longer than that: objects that are gone do not come back by being listed, and an index
that refers to them for ever is worse than one without them.

The days are counted for each file, not for the set of them: a set that grows a little every day
would never be the same for long enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from sluice.catalog.codec import FORMAT, unpack_json
from sluice.limits import BRAKE_PACKAGES_MIN

DIGEST_CHARS = 12
DAY_MS = 24 * 60 * 60 * 1000


class BrakeState(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one subdir.  Times are ms since the epoch.

    It may be deleted at any time: the days are then counted from the beginning.
    """

    removed: dict[str, int] = msgspec.field(default_factory=dict)
    """By filename, of packages that were in the index: when a comparison staged its removal last,
    without having waited."""
    pending: dict[str, int] = msgspec.field(default_factory=dict)
    """By filename: when a comparison found it missing first, and waited."""
    confirmed: dict[str, int] = msgspec.field(default_factory=dict)
    """By filename, of those that wait: when a person confirmed its removal."""
    waiting: str | None = None
    """Which time of waiting these two are about: they count only while the marks of the subdir
    name the same.  A comparison that finds nothing missing ends that time there, and need not
    read this for it (``reconcile.publication_log``)."""
    format: int = FORMAT


class MissingFile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file that is missing, as the catalog knows it.  There may be a hundred thousand."""

    indexed: bool
    """Whether it is in the index; rejected packages and pins are not."""
    modified: int
    """When the object was uploaded: S3's clock, seconds since the epoch."""

    @property
    def uploaded_before(self) -> int:
        """In ms since the epoch: S3 dates to the second before."""
        return (self.modified + 1) * 1000


class WaitingRemovals(msgspec.Struct, frozen=True, kw_only=True):
    """Removals that wait.  Times are ms since the epoch."""

    files: int
    """All of them, rejected packages and pins included."""
    packages: int
    """Those that are in the index."""
    of: int
    """How many packages the index holds, or held before the removals of the last days."""
    digest: str
    """Names everything that is missing, to confirm it by."""
    since: int
    """When the first of them was found missing."""
    until: int | None
    """After this the next comparison removes the last of them; ``None`` where the days have not
    begun, because no comparison has found them missing yet."""


@dataclass(frozen=True, slots=True)
class RemovalDecision:
    """What is to be done about the missing files of one subdir.  Filenames are in order."""

    state: BrakeState
    """To be stored before anything is carried out."""
    to_remove: list[str]
    waiting: WaitingRemovals | None
    confirmed: bool
    """Whether this is what a person confirmed."""


def decode_brake_state(body: bytes, *, what: str) -> BrakeState:
    """Read what is stored; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack_json(body, BrakeState, what=what)


def encode_brake_state(state: BrakeState) -> bytes:
    """Serialise."""
    return msgspec.json.encode(state, order="deterministic")


def filenames_digest(filenames: Iterable[str]) -> str:
    """Name a set of files."""
    lines = "\n".join(sorted(filenames))
    return sha256(lines.encode()).hexdigest()[:DIGEST_CHARS]


def describe_invalid_digest(text: str | None) -> str | None:
    """Say what is wrong with the digest that a person gave, if anything is."""
    if text is None or re.fullmatch(f"[0-9a-f]{{{DIGEST_CHARS}}}", text):
        return None
    return (
        f"{text!r} names no removals: give the digest that a report says they wait under, "
        f"{DIGEST_CHARS} hexadecimal digits"
    )


def exceeds_removal_limit(missing: int, total: int) -> bool:
    """Tell whether so many packages out of so many are too many to be removed at once."""
    return total >= BRAKE_PACKAGES_MIN and 2 * missing > total


def decide_removals(
    state: BrakeState,
    missing: Mapping[str, MissingFile],
    packages: int,
    *,
    now_ms: int,
    days: int,
    confirm: str | None = None,
) -> RemovalDecision:
    """Decide about all files of a subdir that a comparison finds missing at ``now_ms``.

    ``missing``: by filename.  ``packages``: how many packages the index holds, those included.
    ``days``: 0 turns the brake off.  ``confirm``: the digest that a person gave.

    What was removed in the last ``days`` without waiting counts as well: a third of an index today
    and a third tomorrow is one removal.  What a person confirmed, or what has waited, does not
    count: that begins a new time.

    The result does not change if the decision is taken again, with the state that it returns.
    """
    files = sorted(missing)
    digest = filenames_digest(files)
    if not days:
        return RemovalDecision(BrakeState(), files, None, confirmed=False)
    window_ms = days * DAY_MS
    indexed = {file for file in files if missing[file].indexed}
    # A clock that was ahead must not make anything wait until it is right.
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
    if is_confirmed:  # by whatever clock
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
    """What still holds for the files that are missing now, with since when.

    Not for a file that was uploaded since: another object was there in between.
    """
    return {
        file: at
        for file, at in times.items()
        if file in missing and missing[file].uploaded_before <= at
    }
