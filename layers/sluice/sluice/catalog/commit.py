"""Commits and the head that names the last one: the history of a subdir and its only switch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import FORMAT, unpack_json
from sluice.errors import Missing, TooLate, Unavailable
from sluice.layout import Subdir
from sluice.limits import MERGE_ATTEMPTS_MAX, SWAP_SECONDS_MAX, WRITE_ATTEMPTS_MAX
from sluice.storage import object_headers
from sluice.storage.object_store import ETag, ObjectStore

T = TypeVar("T")


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided, where it was no merge that made a generation."""

    reason: str
    rolled_back_to: int | None = None
    """The generation whose content this one has; ``None`` where it was no rollback."""
    pinned: list[str] = []
    """Files kept out from here on."""
    unpinned: list[str] = []


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What one generation changed.  Named by its digest, so a loser's commit is garbage."""

    generation: int
    tree: str
    """Digest of the tree."""
    parent: str | None
    """Digest of the commit before; ``None`` for the first."""
    at: int
    """ms since the epoch."""
    added: list[str]
    replaced: list[str]
    removed: list[str]
    rejected: list[str]
    taken_over: int = 0
    """How many records came from the index that was there before sluice."""
    taken_over_shards: str | None = None
    """Digest of the shard index that was there before sluice.  Clients may hold it for a while
    yet, so its shards must outlive it as those of any other generation do."""
    config: str | None = None
    """Digest of the channel configuration in force."""
    patch: str | None = None
    """Digest of the patch instructions in force."""
    amendment: Amendment | UnsetType = UNSET
    """Absent in what merges commit."""
    format: int = FORMAT


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a subdir."""

    generation: int
    """Grows by at least one with every change of content; 0 before the first commit."""
    epoch: int
    """Grows when staging was consumed and nothing changed.  That swap fences merges which are
    still running with what they saw before."""
    commit: str | None
    tree: str | None
    writer: str
    """Unique to one attempt to swap: tells one's own write from an equal one of somebody else."""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class HeadVersion:
    """A head and the ETag to swap it against."""

    head: Head
    etag: ETag | None
    """``None`` where there is no head yet."""


BEFORE_FIRST = HeadVersion(Head(generation=0, epoch=0, commit=None, tree=None, writer=""), None)


def encode_commit(commit: Commit) -> bytes:
    """Serialise a commit."""
    return msgspec.json.encode(commit)


def decode_commit(body: bytes, *, what: str) -> Commit:
    """Read a commit; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack_json(body, Commit, what=what)


def read_head(state: ObjectStore, subdir: Subdir) -> HeadVersion:
    """Read the head, or ``BEFORE_FIRST``; raises ``Corrupt`` and ``TooNew``."""
    stored = state.get(subdir.head)
    if stored is None:
        return BEFORE_FIRST
    return HeadVersion(decode_head(stored.body, what=subdir.head), stored.info.etag)


def decode_head(body: bytes, *, what: str) -> Head:
    """Read a head; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack_json(body, Head, what=what)


def head_not_won(subdir: Subdir) -> str:
    """Say why a commit was given up, after it was begun again as often as that is tried."""
    return (
        f"the head of {subdir.component} could not be swapped in {MERGE_ATTEMPTS_MAX} tries: each "
        "time another commit came first, or this one took longer than "
        f"{SWAP_SECONDS_MAX // 60} minutes"
    )


@contextmanager
def unless_overtaken(state: ObjectStore, subdir: Subdir, version: HeadVersion) -> Iterator[None]:
    """Read what a head refers to; ends early, without an error, where a later head took its place.

    What is then missing was collected: the reader begins again, with the head that there is now.
    Raises ``Missing`` where the head is still that one, for all that it refers to must be there.
    """
    try:
        yield
    except Missing:
        if read_head(state, subdir).etag == version.etag:
            raise


def read_newest(state: ObjectStore, subdir: Subdir, read: Callable[[HeadVersion], T]) -> T:
    """Read the head and, by ``read``, what it refers to; from the start wherever it is overtaken.

    Raises what ``read`` raises, and ``Unavailable`` where heads come faster than they can be read.
    """
    for _ in range(MERGE_ATTEMPTS_MAX):
        version = read_head(state, subdir)
        with unless_overtaken(state, subdir, version):
            return read(version)
    raise Unavailable(
        f"what {subdir.head} refers to was collected before it could be read, "
        f"{MERGE_ATTEMPTS_MAX} times"
    )


def swap_head(
    state: ObjectStore,
    subdir: Subdir,
    head: Head,
    *,
    expected: ETag | None,
    not_after_ms: int | None,
) -> HeadVersion | None:
    """Replace exactly the head version ``expected``; ``None``: begin again with what is there now.

    That is so if another merge was first, or if the deadline has passed.  ``not_after_ms`` is the
    deadline of the draft that the head is made of (see ``Draft``), by the clock of the store.  A
    head that refers to nothing but what ``expected`` refers to needs none (``None``): that is kept
    while it is the head.

    Anything but a plain success is settled by reading back.  A head that is still the expected
    one means that the write did not land *yet*: the same write is sent again, and because both
    copies carry the same condition at most one of them can land.  One that lands after its sender
    has begun again, within the minutes for which S3 takes it, makes the next swap lose.
    Raises ``Unavailable`` where that does not settle it.
    """
    body = msgspec.json.encode(head)
    for _ in range(WRITE_ATTEMPTS_MAX):
        in_time = True
        try:
            etag = state.put_if(
                subdir.head,
                body,
                object_headers.PRIVATE_JSON,
                expected=expected,
                not_after_ms=not_after_ms,
            )
        except TooLate:
            etag, in_time = None, False
        if etag is not None:
            return HeadVersion(head, etag)
        found = state.get(subdir.head)
        if found is not None and found.body == body:
            return HeadVersion(head, found.info.etag)
        if not in_time or (found.info.etag if found else None) != expected:
            return None
    raise Unavailable(f"the head {subdir.head} could not be swapped in {WRITE_ATTEMPTS_MAX} tries")
