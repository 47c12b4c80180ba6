"""The interface of an object store: the operations on one bucket, and a clock.

``s3_store.py`` implements it over S3's REST interface, ``testkit/memory_store.py`` in memory.

Errors: only "no such key" counts as absent (``None``).  A 403, a 5xx or a timeout is
``Unavailable``.  An object that is not the expected version is ``Changed``.  A write whose deadline
has passed is ``TooLate``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NewType, Protocol, runtime_checkable

import msgspec

from sluice.conda.timestamps import EpochMs
from sluice.errors import Unavailable

ETag = NewType("ETag", str)
"""An ETag as S3 sent it, quotes included.  Opaque: only ever compared."""


_NONE: Mapping[str, str] = MappingProxyType({})


class ObjectInfo(msgspec.Struct, frozen=True, gc=False):
    """One version of one object, as HEAD, GET or LIST describe it.

    One listing makes a hundred thousand of these, so they are cheap.  They cannot form cycles, so
    the garbage collector need not track them.
    """

    key: str
    etag: ETag
    size: int
    """Bytes."""
    modified: int
    """LastModified, whole seconds since the epoch (S3's headers have no finer clock)."""
    metadata: Mapping[str, str] = _NONE
    """User metadata, keys in lower case without ``x-amz-meta-``.  LIST leaves it empty."""
    sha256: str | None = None
    """Hex SHA-256 of the whole object, if S3 itself computed it (type FULL_OBJECT)."""
    encryption: str | None = None
    """``x-amz-server-side-encryption``; decides whether the ETag is an MD5."""
    archive: str | None = None
    """The storage class, or the tier of Intelligent-Tiering, if S3 does not serve the object until
    somebody restores it.  LIST does not show the tiers."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that was read in full."""

    info: ObjectInfo
    body: bytes


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object whose body is streamed; leaving the context drops the connection."""

    info: ObjectInfo
    chunks: Iterator[bytes]


class BegunRead(Protocol):
    """A GET that was sent, and whose response was not yet received."""

    def opened(self) -> AbstractContextManager[OpenObject | None]:
        """Wait for the response, see ``ObjectStore.open``; once."""
        ...

    def drop(self) -> None:
        """Do without the response."""
        ...


@runtime_checkable
class BeginsReads(Protocol):
    """An object store that can send a GET before its object is wanted."""

    def begin_open(self, key: str) -> BegunRead:
        """Send the request of ``ObjectStore.open``, without a condition.  It raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectHeaders:
    """The headers that are stored with a body."""

    content_type: str
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def noop() -> None:
    """Do nothing."""


class PreparedPut(Protocol):
    """A conditional write that is not visible yet."""

    def complete(self, *, not_after_ms: EpochMs | None = None) -> ETag | None:
        """Make the object visible, if its condition holds; once.  See ``ObjectStore.put_if``."""
        ...

    def abort(self) -> None:
        """Abandon the write, unless it was completed."""
        ...


class ObjectStore(Protocol):
    """One bucket."""

    def now_ms(self) -> EpochMs:
        """The current time, by the clock of ``put_if``'s deadlines.

        The clock keeps running while the machine sleeps.  Makes no request.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """Describe the current version; ``None`` if there is no such key."""
        ...

    def get(self, key: str) -> StoredObject | None:
        """Read an object in full; for objects that sluice wrote and whose size it bounds."""
        ...

    def open(
        self, key: str, *, if_match: ETag | None = None
    ) -> AbstractContextManager[OpenObject | None]:
        """Start one GET and stream it.

        Without ``if_match``, a missing key gives ``None``.  With it, a missing key or another
        version raises ``Changed``.  An archived object raises ``Archived``.
        """
        ...

    def read_range(self, key: str, start: int, length: int, *, if_match: ETag) -> bytes:
        """Read ``length`` bytes from offset ``start`` of exactly that version.

        Raises ``Changed`` if that version is gone.
        """
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """Read ``length`` bytes from offset ``start`` of an object that never changes.

        ``None`` if there is no such key.  The result is shorter where the object ends before, and
        empty if the server ignores ranges.  The caller verifies it: a part has no checksum.
        """
        ...

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """Write without a condition: for keys that are unique or content-addressed."""
        ...

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        not_after_ms: EpochMs | None = None,
    ) -> ETag | None:
        """Write only over the version ``expected``, or, where that is ``None``, over nothing.

        ``not_after_ms``: a deadline, by the clock of ``now_ms``.  Once it has passed, nothing more
        is sent, and ``TooLate`` is raised; an earlier try may have landed.  This holds at whatever
        point of the call the process falls asleep: S3 takes no request more than 15 minutes after
        it was signed, so nothing is written later than 15 minutes after the deadline.

        Returns the new ETag on a plain success.  ``None`` means *not known to have landed*: lost
        (412, 404), to be tried again (409), or unanswered after retries.  The caller settles
        which by reading back, never by guessing: the SDK resends a PUT whose answer was lost
        and then reports 412 for a write that landed.
        """
        ...

    def prepare_put(
        self, key: str, body: bytes, headers: ObjectHeaders, *, expected: ETag | None
    ) -> PreparedPut:
        """Begin a conditional write: send as much as can be sent before the object is visible.

        Its ``complete`` does the rest.  The two together are ``put_if``.
        """
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete keys.  A key that does not exist is a success.

        Raises ``Unavailable`` if any could not be deleted.
        """
        ...

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """Yield the objects under ``prefix`` in key order, a page at a time as they are consumed.

        With ``delimiter``, keys that contain it after the prefix are left out.  ``after`` starts
        after that key.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeferredPut:
    """``PreparedPut`` of a store that cannot send anything ahead."""

    store: ObjectStore
    key: str
    body: bytes
    headers: ObjectHeaders
    expected: ETag | None

    def complete(self, *, not_after_ms: EpochMs | None = None) -> ETag | None:
        """See ``PreparedPut.complete``."""
        return self.store.put_if(
            self.key,
            self.body,
            self.headers,
            expected=self.expected,
            not_after_ms=not_after_ms,
        )

    def abort(self) -> None:
        """See ``PreparedPut.abort``: nothing was sent."""


def describe_object(store: ObjectStore, key: str) -> ObjectInfo | None:
    """Describe an object that anybody may have uploaded; ``None`` if there is none.

    S3 refuses HEAD of an object that is encrypted with the uploader's own key (400, 403), and one
    such object must not stop the others.  LIST still shows its identity, but not its user metadata
    and checksums.
    """
    try:
        return store.head(key)
    except Unavailable:
        first = next(iter(store.list(key)), None)  # nothing sorts before the key itself
        return first if first and first.key == key else None
