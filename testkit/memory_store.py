"""One bucket of S3 in memory: what S3 promises, and nothing that it does not.

``tests/store`` holds it to the same contract as S3 itself.  On purpose, as on S3:

- an ETag follows from the content alone (MD5 in quotes), so it comes back with the content;
- ``LastModified`` has whole seconds, so two versions may share it;
- LIST gives what is there when each page is asked for, not a snapshot.

Every request passes two hooks, before and after it takes effect.  What a hook raises ends the
request there: ``LostAnswer`` is turned into what the SDK makes of one, and anything else (a
simulated death, say) goes through.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import md5, sha256

from msgspec import structs

from sluice.errors import Archived, Changed, TooLate, Unavailable
from sluice.limits import KEYS_PER_DELETE_MAX, STREAM_CHUNK_BYTES
from sluice.storage.archive import ARCHIVE_CLASSES
from sluice.storage.object_store import (
    DeferredPut,
    ETag,
    ObjectHeaders,
    ObjectInfo,
    OpenObject,
    PreparedPut,
    SharedRange,
    StoredObject,
)

Clock = Callable[[], float]
"""Seconds since the epoch."""
Hook = Callable[[str, str], None]
"""Called with the name of the S3 operation and the key (LIST: the prefix; delete: the first)."""


class LostAnswer(Exception):
    """Raised by a hook: the connection broke and every resend failed as well.

    Before the request it has not landed, after it it has; the client sees no difference.
    """


@dataclass(slots=True)
class Request:
    """One request, as a counting proxy would see it."""

    operation: str
    """As S3's API names it: ``GetObject``."""
    key: str
    """LIST: the prefix; DeleteObjects: the first key."""
    sent: int = 0
    """Bytes of the body."""
    received: int = 0
    """Bytes of the body, as far as the caller read it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one object."""

    info: ObjectInfo
    body: bytes
    headers: ObjectHeaders


def ignore(_operation: str, _key: str) -> None:
    """Do nothing."""


class MemoryStore:
    """``ObjectStore`` in memory, with an outside (``upload``, ``remove``) that passes no hooks."""

    def __init__(self, clock: Clock = lambda: 1_700_000_000, *, page_size: int = 1000) -> None:
        self.before: Hook = ignore
        self.after: Hook = ignore
        self.objects: dict[str, Stored] = {}
        self.requests: list[Request] = []
        self._clock = clock
        self._page_size = page_size

    # --- the outside: other people's uploads, and a look that is no request ----------------

    def upload(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        checksum: bool = False,
        encryption: str | None = "AES256",
        parts: int = 1,
        archived: bool = False,
    ) -> ObjectInfo:
        """Put an object there as somebody else would.

        ``checksum``: the uploader asked for SHA-256, and S3 keeps it for a whole object if it
        came in one part.  ``parts`` > 1 and encryption by KMS give ETags that are no MD5.
        """
        etag = _md5(body)
        if parts > 1:
            etag = f"{_md5(etag.encode())}-{parts}"
        elif encryption not in (None, "AES256"):
            etag = _md5(b"key of KMS" + body)
        headers = ObjectHeaders("application/octet-stream", metadata=dict(metadata or {}))
        self._write(key, body, headers, etag=ETag(f'"{etag}"'), encryption=encryption)
        digest = sha256(body).hexdigest() if checksum and parts == 1 else None
        stored = self.objects[key]
        info = structs.replace(stored.info, sha256=digest)
        self.objects[key] = replace(stored, info=info)
        if archived:
            self.archive(key)
        return self.objects[key].info

    def archive(self, key: str, storage_class: str = "GLACIER") -> None:
        """Archive an object as a lifecycle rule would: its identity stays as it is.

        A tier of Intelligent-Tiering (``ARCHIVE_ACCESS``) does not show in listings.
        """
        self._set_archive(key, storage_class)

    def restore(self, key: str) -> None:
        """Restore an archived object: its identity stays as it is."""
        self._set_archive(key, None)

    def _set_archive(self, key: str, storage_class: str | None) -> None:
        stored = self.objects[key]
        info = structs.replace(stored.info, archive=storage_class)
        self.objects[key] = replace(stored, info=info)

    def remove(self, key: str) -> None:
        """Delete an object as somebody else would."""
        del self.objects[key]

    def keys(self, prefix: str = "") -> list[str]:
        """Look at the keys."""
        return sorted([key for key in self.objects if key.startswith(prefix)])

    def body(self, key: str) -> bytes:
        """Look at a body."""
        return self.objects[key].body

    def operations(self) -> list[tuple[str, str]]:
        """Look at the requests so far, without sizes."""
        return [(request.operation, request.key) for request in self.requests]

    # --- ObjectStore -----------------------------------------------------------------------

    def now_ms(self) -> int:
        """See ``ObjectStore.now_ms``."""
        return int(self._clock() * 1000)

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        with self._request("HeadObject", key):
            stored = self.objects.get(key)
        return stored.info if stored else None

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        with self._request("GetObject", key) as request:
            stored = self.objects.get(key)
        if stored is None:
            return None
        body = _readable(key, stored, None)
        request.received += len(body)
        return StoredObject(stored.info, body)

    @contextmanager
    def open(self, key: str, *, if_match: ETag | None = None) -> Iterator[OpenObject | None]:
        """See ``ObjectStore.open``."""
        with self._request("GetObject", key) as request:
            stored = self.objects.get(key)
        if stored is None and if_match is None:
            yield None
            return
        body = _readable(key, stored, if_match)
        assert stored is not None
        yield OpenObject(stored.info, _chunks(body, request))

    def read_range(self, key: str, start: int, length: int, *, if_match: ETag) -> bytes:
        """See ``ObjectStore.read_range``."""
        with self._request("GetObject", key) as request:
            stored = self.objects.get(key)
        part = _readable(key, stored, if_match)[start : start + length]
        if length < 1 or len(part) != length:
            raise Unavailable(f"GetObject {key}: {len(part)} bytes, not {length}, from {start}")
        request.received += length
        return part

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """See ``ObjectStore.get_range``."""
        with self._request("GetObject", key) as request:
            stored = self.objects.get(key)
        if stored is None:
            return None
        part = _readable(key, stored, None)[start : start + length]
        request.received += len(part)
        return part

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``."""
        with self._request("PutObject", key, sent=len(body)):
            self._write(key, body, headers)

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        not_after_ms: int | None = None,
    ) -> ETag | None:
        """See ``ObjectStore.put_if``; who pauses at the request may wake after the deadline."""
        try:
            with self._request("PutObject", key, sent=len(body)):
                if not_after_ms is not None and self.now_ms() > not_after_ms:
                    raise TooLate(f"PutObject {key}: its deadline has passed")
                stored = self.objects.get(key)
                if (stored.info.etag if stored else None) != expected:
                    return None
                return self._write(key, body, headers)
        except Unavailable:
            return None

    def prepare_put(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        shared: Sequence[SharedRange] = (),  # noqa: ARG002
    ) -> PreparedPut:
        """See ``ObjectStore.prepare_put``."""
        return DeferredPut(self, key, body, headers, expected)

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        for first in range(0, len(keys), KEYS_PER_DELETE_MAX):
            chunk = keys[first : first + KEYS_PER_DELETE_MAX]
            with self._request("DeleteObjects", chunk[0]):
                for key in chunk:
                    self.objects.pop(key, None)

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        more = True
        while more:
            with self._request("ListObjectsV2", prefix):
                page, after, more = self._page(prefix, delimiter, after)
            yield from page

    # --- inside ----------------------------------------------------------------------------

    def _request(self, operation: str, key: str, *, sent: int = 0) -> _Passing:
        return _Passing(self, Request(operation, key, sent))

    def _write(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        etag: ETag | None = None,
        encryption: str | None = "AES256",
    ) -> ETag:
        info = ObjectInfo(
            key=key,
            etag=etag or ETag(f'"{_md5(body)}"'),
            size=len(body),
            modified=int(self._clock()),
            metadata={name.lower(): value for name, value in headers.metadata.items()},
            encryption=encryption,
        )
        self.objects[key] = Stored(info, bytes(body), headers)
        return info.etag

    def _page(
        self, prefix: str, delimiter: str | None, after: str | None
    ) -> tuple[Sequence[ObjectInfo], str | None, bool]:
        """Take one page: the objects, the last key that it covers, and whether more follow."""
        page: dict[str, ObjectInfo | None] = {}
        keys = self.keys(prefix)  # by code point, which is the order of S3's UTF-8 bytes
        for key in keys if after is None else keys[bisect_right(keys, after) :]:
            entry = key
            info: ObjectInfo | None = _as_listed(self.objects[key].info)
            rest = key.removeprefix(prefix)
            if delimiter is not None and delimiter in rest:
                # A CommonPrefix: left out by us, but it counts towards the page, as on S3.
                entry, info = rest.partition(delimiter)[0] + delimiter, None
            if entry not in page and len(page) == self._page_size:
                return _objects(page), after, True
            page[entry] = info
            after = key
        return _objects(page), after, False


class _Passing:
    """One request on its way past the hooks; a class, for simulations pass millions."""

    __slots__ = ("_request", "_store")

    def __init__(self, store: MemoryStore, request: Request) -> None:
        self._store = store
        self._request = request

    def __enter__(self) -> Request:
        request = self._request
        try:
            self._store.before(request.operation, request.key)
        except LostAnswer as error:
            raise self._unavailable() from error
        self._store.requests.append(request)
        return request

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._store.after(self._request.operation, self._request.key)
            except LostAnswer as error:
                raise self._unavailable() from error

    def _unavailable(self) -> Unavailable:
        return Unavailable(f"{self._request.operation} {self._request.key}: no answer")


def _readable(key: str, stored: Stored | None, if_match: ETag | None) -> bytes:
    if stored is None or (if_match is not None and stored.info.etag != if_match):
        raise Changed(f"GetObject {key}: not {if_match}")
    if stored.info.archive:
        raise Archived(f"GetObject {key}: InvalidObjectState")
    return stored.body


def _chunks(body: bytes, request: Request) -> Iterator[bytes]:
    for start in range(0, len(body), STREAM_CHUNK_BYTES):
        chunk = body[start : start + STREAM_CHUNK_BYTES]
        request.received += len(chunk)
        yield chunk


def _objects(page: Mapping[str, ObjectInfo | None]) -> Sequence[ObjectInfo]:
    return [info for info in page.values() if info is not None]


def _as_listed(info: ObjectInfo) -> ObjectInfo:
    archive = info.archive if info.archive in ARCHIVE_CLASSES else None
    return ObjectInfo(info.key, info.etag, info.size, info.modified, archive=archive)


def _md5(body: bytes) -> str:
    return md5(body, usedforsecurity=False).hexdigest()
