"""``ObjectStore`` on S3.

The one place that knows S3's status codes.  Four of its habits shape this module:

- only a GET tells a missing key (``NoSuchKey``) from a missing bucket; HEAD says 404 to both;
- under ``If-Match`` a missing key is 404, another version 412, a concurrent operation 409;
- what is sent again because its answer was lost then meets itself: 412 for one's own write;
- what breaks in the middle of a body is not sent again.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from sluice.errors import Archived, Changed, Unavailable
from sluice.limits import (
    KEYS_PER_DELETE_MAX,
    STREAM_CHUNK_BYTES,
)
from sluice.storage import s3_xml
from sluice.storage.conditional_writes import AWS, ConditionalWrites
from sluice.storage.object_store import (
    ETag,
    Headers,
    ObjectInfo,
    OpenObject,
    PreparedPut,
    StoredObject,
)
from sluice.storage.s3_bucket import (
    METADATA_PREFIX,
    NOT_FOUND,
    S3Bucket,
    headers_to_send,
)
from sluice.storage.s3_client import (
    NO_ANSWER,
    REFUSED_FROM,
    Answer,
    Request,
    S3Client,
)
from sluice.storage.s3_conditional_put import S3ConditionalPuts, WriteAttempt

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

PARTIAL_CONTENT = 206
PRECONDITIONFAILED = 412

_KEYS_NAMED_MAX = 5
_MOMENTS_REMEMBERED = 1024
_CHECKED = {"x-amz-checksum-mode": "ENABLED"}
"""Asks for the checksum of a whole object, to hold its body against."""


def as_aws() -> ConditionalWrites:
    """What AWS does."""
    return AWS


class S3Store:
    """One bucket of S3."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        conditional_writes: Callable[[], ConditionalWrites] = as_aws,
    ) -> None:
        """``conditional_writes`` says how the server does them; called before each one.

        What it raises ends the write.
        """
        self._bucket = S3Bucket(client, bucket)
        self._puts = S3ConditionalPuts(self._bucket, conditional_writes)
        self._bucket_seen = False

    def now_ms(self) -> int:
        """See ``ObjectStore.now_ms``."""
        return self._bucket.client.now_ms()

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        answer = self._bucket.call(
            Request("HeadObject", "HEAD", self._bucket.name, key, headers=_CHECKED)
        )
        if answer.status < REFUSED_FROM:
            return _describe(key, answer)
        if answer.status != NOT_FOUND:
            raise self._bucket.unavailable("HeadObject", key, answer.refusal)
        if self._bucket_seen:
            return None
        # The answer to a HEAD has no body that could say what is missing, the key or the
        # bucket; GET's has.  Once is enough: the bucket does not come and go.
        with self.open(key) as found:
            self._bucket_seen = True
            return found.info if found else None

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        with self.open(key) as found:
            return StoredObject(found.info, b"".join(found.chunks)) if found else None

    @contextmanager
    def open(self, key: str, *, if_match: ETag | None = None) -> Iterator[OpenObject | None]:
        """See ``ObjectStore.open``."""
        answer = self._get(key, _CHECKED, if_match)
        if answer is None:
            yield None
            return
        try:
            yield OpenObject(_describe(key, answer), self._checked(key, answer))
        finally:
            answer.close()

    def read_range(self, key: str, start: int, length: int, *, if_match: ETag) -> bytes:
        """See ``ObjectStore.read_range``."""
        asked = {"Range": f"bytes={start}-{start + length - 1}"}
        answer = self._get(key, asked, if_match)
        if answer is None:  # never under If-Match
            raise Changed(f"GetObject {self._bucket.url(key)}: it is gone")
        try:
            # A server may ignore the range (200) or cut it at the end of the object: look
            # before reading what might be the whole of a large package.
            if answer.status != PARTIAL_CONTENT or answer.length != length:
                raise Unavailable(
                    f"GetObject {self._bucket.url(key)}: asked for {length} bytes from {start}, "
                    f"was offered {answer.length} (status {answer.status})"
                )
            return b"".join(self._chunks(key, answer))
        finally:
            answer.close()

    def put(self, key: str, body: bytes, headers: Headers) -> None:
        """See ``ObjectStore.put``."""
        answer = self._bucket.call(self._bucket.put_request(key, body, headers_to_send(headers)))
        if answer.status >= REFUSED_FROM:
            raise self._bucket.unavailable("PutObject", key, answer.refusal)

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: Headers,
        *,
        expected: ETag | None,
        not_after_ms: int | None = None,
    ) -> ETag | None:
        """See ``ObjectStore.put_if``; raises what ``prepare_put`` raises."""
        put = self._puts.prepare(key, body, headers, expected=expected)
        return put.complete(not_after_ms=not_after_ms)

    def prepare_put(
        self, key: str, body: bytes, headers: Headers, *, expected: ETag | None
    ) -> PreparedPut:
        """See ``ObjectStore.prepare_put`` and ``S3ConditionalPuts.prepare``."""
        return self._puts.prepare(key, body, headers, expected=expected)

    def attempt(
        self,
        key: str,
        body: bytes,
        headers: Headers,
        condition: Mapping[str, str],
        *,
        in_parts: bool = False,
    ) -> WriteAttempt:
        """See ``S3ConditionalPuts.attempt``."""
        return self._puts.attempt(key, body, headers, condition, in_parts=in_parts)

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        for first in range(0, len(keys), KEYS_PER_DELETE_MAX):
            chunk = keys[first : first + KEYS_PER_DELETE_MAX]
            body = s3_xml.deletion(chunk)
            # S3-compatible servers of before 2025 know no other checksum here.
            md5 = hashlib.md5(body, usedforsecurity=False).digest()
            answer = self._bucket.call(
                Request(
                    "DeleteObjects",
                    "POST",
                    self._bucket.name,
                    query={"delete": ""},
                    headers={"Content-MD5": b64encode(md5).decode()},
                    body=body,
                    gives_document=True,
                ),
                of=_some(chunk),
            )
            if answer.document is None or answer.status >= REFUSED_FROM:
                raise self._bucket.unavailable("DeleteObjects", _some(chunk), answer.refusal)
            if left := s3_xml.not_deleted(answer.document):
                codes = ", ".join(sorted({one.code for one in left}))
                raise self._bucket.unavailable(
                    "DeleteObjects", _some([one.key for one in left]), codes
                )

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        if delimiter is not None:
            query["delimiter"] = delimiter
        if after is not None:
            query["start-after"] = after
        while True:
            answer = self._bucket.call(
                Request(
                    "ListObjectsV2",
                    "GET",
                    self._bucket.name,
                    query=query,
                    gives_document=True,
                    read_quickly=s3_xml.quick_listing,
                ),
                of=prefix,
            )
            if isinstance(answer.result, s3_xml.Page):
                page = answer.result
            elif answer.document is None or answer.status >= REFUSED_FROM:
                raise self._bucket.unavailable("ListObjectsV2", prefix, answer.refusal)
            else:
                page = self._page(prefix, answer.document)
            yield from page.objects
            if page.next_token is None:
                return
            query["continuation-token"] = page.next_token

    def _page(self, prefix: str, document: Element) -> s3_xml.Page:
        try:
            return s3_xml.listing(document)
        except (KeyError, ValueError) as error:
            raise self._bucket.unavailable(
                "ListObjectsV2", prefix, f"no listing: {error}"
            ) from error

    def _get(self, key: str, headers: Mapping[str, str], if_match: ETag | None) -> Answer | None:
        """Start a GET; ``None`` where there is no such key and no condition."""
        condition = {} if if_match is None else {"If-Match": if_match}
        answer = self._bucket.call(
            Request(
                "GetObject",
                "GET",
                self._bucket.name,
                key,
                headers={**headers, **condition},
                streams=True,
            )
        )
        if answer.status < REFUSED_FROM:
            return answer
        if answer.code == "InvalidObjectState":
            raise Archived(f"GetObject {self._bucket.url(key)}: {answer.refusal}")
        if answer.code == "NoSuchKey" and if_match is None:
            return None
        if answer.code == "NoSuchKey" or answer.status == PRECONDITIONFAILED:
            raise Changed(f"GetObject {self._bucket.url(key)}: {answer.refusal}")
        raise self._bucket.unavailable("GetObject", key, answer.refusal)

    def _checked(self, key: str, answer: Answer) -> Iterator[bytes]:
        """The body of a whole object, held against the checksum that S3 has of it."""
        kind, expected = _checksum_of(answer)
        for chunk in self._chunks(key, answer):
            if kind:
                kind.update(chunk)
            yield chunk
        if kind and kind.digest() != expected:
            raise self._bucket.unavailable("GetObject", key, "the body does not match its checksum")

    def _chunks(self, key: str, answer: Answer) -> Iterator[bytes]:
        left = answer.length
        try:
            while chunk := answer.read(STREAM_CHUNK_BYTES):
                left -= len(chunk)
                yield chunk
        except NO_ANSWER as error:
            raise self._bucket.unavailable("GetObject", key, error) from error
        if left:
            raise self._bucket.unavailable("GetObject", key, f"the body ends {left} bytes early")


class _Checksum(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _checksum_of(answer: Answer) -> tuple[_Checksum | None, bytes]:
    """Of a body, what to compute and what to expect; those of parts alone (``…-3``) do not help."""
    for name, kind in (("crc32", _Crc32), ("sha256", hashlib.sha256)):
        told = answer.headers.get(f"x-amz-checksum-{name}")
        if told and "-" not in told:
            return kind(), b64decode(told)
    return None, b""


def _describe(key: str, answer: Answer) -> ObjectInfo:
    # The digest of a multipart upload is one of its parts' digests (COMPOSITE).  A server that
    # does not give the type is not believed: reading the object once is cheaper than an index
    # with a digest that no client can reproduce.
    headers = {name.lower(): value for name, value in answer.headers.items()}
    whole = headers.get("x-amz-checksum-type") == "FULL_OBJECT"
    sha256 = headers.get("x-amz-checksum-sha256") if whole else None
    return ObjectInfo(
        key=key,
        etag=ETag(headers["etag"]),
        size=int(headers.get("content-length", 0)),
        modified=_seconds(headers["last-modified"]),
        metadata={
            name.removeprefix(METADATA_PREFIX): value
            for name, value in headers.items()
            if name.startswith(METADATA_PREFIX)
        },
        sha256=b64decode(sha256).hex() if sha256 else None,
        encryption=headers.get("x-amz-server-side-encryption"),
    )


@lru_cache(_MOMENTS_REMEMBERED)
def _seconds(moment: str) -> int:
    return int(parsedate_to_datetime(moment).timestamp())


def _some(keys: Sequence[str]) -> str:
    more = len(keys) - _KEYS_NAMED_MAX
    named = ", ".join(keys[:_KEYS_NAMED_MAX])
    return f"{named} and {more} more" if more > 0 else named
