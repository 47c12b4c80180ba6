"""Objects that change only by compare-and-swap, and the loop that changes them.

A conditional write has three outcomes: won, lost, unknown.  After anything but a plain success,
this module reads the object back, and never guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, Literal, Protocol, TypeVar

from sluice.conda.timestamps import EpochMs
from sluice.errors import Missing, TooLate, Unavailable
from sluice.limits import MERGE_ATTEMPTS_MAX, SWAP_SECONDS_MAX, WRITE_ATTEMPTS_MAX
from sluice.storage.object_store import ETag, ObjectHeaders, ObjectStore

T = TypeVar("T")
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)


class Swap(Enum):
    """What an attempt returns instead of its result."""

    LOST = auto()
    """Another writer was first: begin again with the current version."""


LOST: Literal[Swap.LOST] = Swap.LOST


class Decode(Protocol[T_co]):
    """Decodes a stored body; raises ``Corrupt`` and ``TooNew``, which name ``what``."""

    def __call__(self, body: bytes, *, what: str) -> T_co:
        """Decode."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectVersion(Generic[T]):
    """A value that was read or written, and the ETag to swap it against."""

    value: T
    etag: ETag | None
    """``None`` if there is no object yet."""
    modified: int | None = field(default=None, compare=False)
    """Seconds since the epoch, if the object was read from the store."""


@dataclass(frozen=True, slots=True)
class VersionedObject(Generic[T]):
    """One mutable object."""

    store: ObjectStore
    key: str
    name: str
    """A name for people: "the head of ..."."""
    initial: T
    """The value while there is no object."""
    encode: Callable[[T], bytes]
    decode: Decode[T]
    headers: ObjectHeaders

    def read(self) -> ObjectVersion[T]:
        """Read the object; raises ``Corrupt`` and ``TooNew``."""
        stored = self.store.get(self.key)
        if stored is None:
            return ObjectVersion(self.initial, None)
        value = self.decode(stored.body, what=self.key)
        return ObjectVersion(value, stored.info.etag, stored.info.modified)

    def swap(
        self, value: T, *, expected: ETag | None, not_after_ms: EpochMs | None = None
    ) -> ObjectVersion[T] | Literal[Swap.LOST]:
        """Replace exactly the version ``expected``.

        ``LOST`` if another writer was first, or if the deadline ``not_after_ms`` has passed, by the
        clock of the store (see ``Draft``).  A value that refers to nothing but what ``expected``
        refers to needs no deadline: that is kept while it is the current one.  ``value`` must
        differ from any that another writer may write, or its write would count as ours.

        An object that is still the expected version means that the write did not land *yet*: the
        same write is sent again, and because both copies carry the same condition at most one of
        them can land.  One that lands after its sender has begun again, within the minutes for
        which S3 takes it, makes the next swap lose.  Raises ``Unavailable`` where reading back does
        not settle it.
        """
        body = self.encode(value)
        for _ in range(WRITE_ATTEMPTS_MAX):
            in_time = True
            try:
                etag = self.store.put_if(
                    self.key, body, self.headers, expected=expected, not_after_ms=not_after_ms
                )
            except TooLate:
                etag, in_time = None, False
            if etag is not None:
                return ObjectVersion(value, etag)
            stored = self.store.get(self.key)
            if stored is not None and stored.body == body:
                return ObjectVersion(value, stored.info.etag)
            if not in_time or (stored.info.etag if stored else None) != expected:
                return LOST
        raise Unavailable(f"{self.name} could not be swapped in {WRITE_ATTEMPTS_MAX} attempts")

    @contextmanager
    def unless_superseded(self, version: ObjectVersion[T]) -> Iterator[None]:
        """Run reads of what ``version`` refers to; end early, without an error, if superseded.

        What is missing then was collected, and the reader begins again with the current version.
        Raises ``Missing`` if ``version`` is still the current one, because all that it refers to
        must exist.
        """
        try:
            yield
        except Missing:
            if self.read().etag == version.etag:
                raise


def read_newest(
    versioned: VersionedObject[T],
    read: Callable[[ObjectVersion[T]], R],
    *,
    first: ObjectVersion[T] | None = None,
) -> R:
    """Read an object and, by ``read``, what it refers to; again whenever it is superseded.

    ``first``: a version that was read before.  Raises the errors of ``read``, and ``Unavailable``
    if versions come faster than they can be read.
    """
    for attempt in range(MERGE_ATTEMPTS_MAX):
        version = first if first is not None and attempt == 0 else versioned.read()
        with versioned.unless_superseded(version):
            return read(version)
    raise Unavailable(
        f"{versioned.name} changed during each of {MERGE_ATTEMPTS_MAX} attempts to read its "
        "objects. Try again"
    )


def commit_loop(
    versioned: VersionedObject[T],
    attempt: Callable[[ObjectVersion[T]], R | Literal[Swap.LOST]],
    *,
    read: Callable[[], ObjectVersion[T]] | None = None,
) -> R:
    """Read, build and swap, until a swap is won: ``attempt`` builds and swaps.

    The loop calls ``attempt`` again with the current version if it returns ``LOST``, or if objects
    that it reads were collected.  ``read``: how to read a version.  Raises the errors of
    ``attempt``, and ``Unavailable`` after a bounded number of attempts.
    """
    for _ in range(MERGE_ATTEMPTS_MAX):
        version = (read or versioned.read)()
        with versioned.unless_superseded(version):
            result = attempt(version)
            if result is not LOST:
                return result
    raise Unavailable(
        f"{versioned.name} could not be swapped in {MERGE_ATTEMPTS_MAX} attempts: each time, "
        f"another commit was faster or this one took more than {SWAP_SECONDS_MAX // 60} minutes. "
        "Try again"
    )
