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
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from sluice.conda.timestamps import EpochMs
from sluice.errors import Archived, Changed, Unavailable
from sluice.limits import (
    KEYS_PER_DELETE_MAX,
    STREAM_CHUNK_BYTES,
)
from sluice.storage import s3_xml
from sluice.storage.archive import RESTORE_STATUS, archive_of_headers
from sluice.storage.conditional_writes import AWS_CONDITIONAL_WRITES, ConditionalWrites
from sluice.storage.object_store import (
    BegunRead,
    ETag,
    ObjectHeaders,
    ObjectInfo,
    OpenObject,
    PreparedPut,
    StoredObject,
)
from sluice.storage.s3_bucket import (
    METADATA_PREFIX,
    NOT_FOUND,
    S3Bucket,
    checksums_suffice,
    headers_to_send,
)
from sluice.storage.s3_client import (
    FIRST_ERROR_STATUS,
    TRANSPORT_ERRORS,
    BegunRequest,
    S3Client,
    S3Request,
    S3Response,
)
from sluice.storage.s3_conditional_put import S3ConditionalPuts, WriteAttempt
from sluice.storage.s3_failures import advise, explain_foreign_response

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

PARTIAL_CONTENT = 206
FORBIDDEN = 403
PRECONDITIONFAILED = 412
RANGE_NOT_SATISFIABLE = 416

_KEYS_NAMED_MAX = 5
_DATES_CACHED_MAX = 1024
_CHECKSUM_MODE = {"x-amz-checksum-mode": "ENABLED"}
"""The header that requests a whole object's checksum, to verify its body."""


def aws_conditional_writes() -> ConditionalWrites:
    """How AWS implements conditional writes."""
    return AWS_CONDITIONAL_WRITES


class S3Store:
    """One bucket of S3."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        conditional_writes: Callable[[], ConditionalWrites] = aws_conditional_writes,
        sign_payloads: Callable[[], bool] = checksums_suffice,
    ) -> None:
        """``conditional_writes`` returns how the server implements them; called before each one.

        An error that it raises ends the write.  ``sign_payloads``: see ``S3Bucket``.
        """
        self._bucket = S3Bucket(client, bucket, sign_payloads)
        self._puts = S3ConditionalPuts(self._bucket, conditional_writes)
        self._bucket_seen = False

    def now_ms(self) -> EpochMs:
        """See ``ObjectStore.now_ms``."""
        return self._bucket.client.now_ms()

    def bucket_exists(self) -> bool:
        """Whether the bucket exists; ``True`` also if the credentials may not know that.

        Raises ``Unavailable``.
        """
        response = self._bucket.send(S3Request("HeadBucket", "HEAD", self._bucket.name))
        if response.status < FIRST_ERROR_STATUS or response.status == FORBIDDEN:
            return True
        if response.status == NOT_FOUND:
            return False
        raise self._bucket.unavailable_error("HeadBucket", "", response)

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        response = self._bucket.send(
            S3Request("HeadObject", "HEAD", self._bucket.name, key, headers=_CHECKSUM_MODE)
        )
        if response.status < FIRST_ERROR_STATUS:
            return self._info("HeadObject", key, response)
        if response.status != NOT_FOUND:
            raise self._bucket.unavailable_error("HeadObject", key, response)
        if self._bucket_seen:
            return None
        # The response to a HEAD has no body that could say whether the key or the bucket is
        # missing; GET's has.  One check is enough: the bucket does not come and go.
        with self.open(key) as opened:
            self._bucket_seen = True
            return opened.info if opened else None

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        with self.open(key) as opened:
            return StoredObject(opened.info, b"".join(opened.chunks)) if opened else None

    @contextmanager
    def open(self, key: str, *, if_match: ETag | None = None) -> Iterator[OpenObject | None]:
        """See ``ObjectStore.open``."""
        with self._opened(key, self._get(key, _CHECKSUM_MODE, if_match)) as opened:
            yield opened

    def begin_open(self, key: str) -> BegunRead:
        """See ``BeginsReads.begin_open``."""
        return _BegunOpen(self, key, self._bucket.begin(self._get_request(key, _CHECKSUM_MODE)))

    @contextmanager
    def finish_open(self, key: str, begun: BegunRequest) -> Iterator[OpenObject | None]:
        """Open the object of a request that ``begin_open`` has sent."""
        response = self._judge_get(key, self._bucket.finish(begun), None)
        with self._opened(key, response) as opened:
            yield opened

    @contextmanager
    def _opened(self, key: str, response: S3Response | None) -> Iterator[OpenObject | None]:
        if response is None:
            yield None
            return
        try:
            info = self._info("GetObject", key, response)
            yield OpenObject(info, self._verified_chunks(key, response))
        finally:
            response.close()

    def read_range(self, key: str, start: int, length: int, *, if_match: ETag) -> bytes:
        """See ``ObjectStore.read_range``."""
        response = self._get(key, _range_header(start, length), if_match)
        if response is None:  # never under If-Match
            raise Changed(f"GetObject {self._bucket.object_url(key)}: the object does not exist")
        try:
            # A server may ignore the range (200) or cut it at the end of the object.  Check before
            # reading what might be a large package in full.
            if response.status != PARTIAL_CONTENT or response.content_length != length:
                raise Unavailable(
                    f"GetObject {self._bucket.object_url(key)}: the response has "
                    f"{response.content_length} bytes instead of {length} at offset {start} "
                    f"(status {response.status})"
                )
            return b"".join(self._chunks(key, response))
        finally:
            response.close()

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """See ``ObjectStore.get_range``."""
        response = self._send_get(key, _range_header(start, length))
        if response.error_code == "NoSuchKey":
            return None
        if response.status == RANGE_NOT_SATISFIABLE:
            return b""
        if response.status >= FIRST_ERROR_STATUS:
            raise self._get_error(key, response)
        try:
            # A server may ignore the range (200).  Check before reading a large object in full.
            if response.status != PARTIAL_CONTENT or response.content_length > length:
                return b""
            return b"".join(self._chunks(key, response))
        finally:
            response.close()

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``."""
        response = self._bucket.send(self._bucket.put_request(key, body, headers_to_send(headers)))
        if response.status >= FIRST_ERROR_STATUS:
            raise self._bucket.unavailable_error("PutObject", key, response)

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        not_after_ms: EpochMs | None = None,
    ) -> ETag | None:
        """See ``ObjectStore.put_if``; raises what ``prepare_put`` raises."""
        put = self._puts.prepare(key, body, headers, expected=expected)
        return put.complete(not_after_ms=not_after_ms)

    def prepare_put(
        self, key: str, body: bytes, headers: ObjectHeaders, *, expected: ETag | None
    ) -> PreparedPut:
        """See ``ObjectStore.prepare_put`` and ``S3ConditionalPuts.prepare``."""
        return self._puts.prepare(key, body, headers, expected=expected)

    def attempt_write(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
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
            body = s3_xml.delete_request(chunk)
            # S3-compatible servers from before 2025 support no other checksum here.
            md5 = hashlib.md5(body, usedforsecurity=False).digest()
            response = self._bucket.send(
                S3Request(
                    "DeleteObjects",
                    "POST",
                    self._bucket.name,
                    query={"delete": ""},
                    headers={"Content-MD5": b64encode(md5).decode()},
                    body=body,
                    sign_payload=self._bucket.sign_payloads(),
                    expects_document=True,
                ),
                of=_abbreviated(chunk),
            )
            if response.document is None or response.status >= FIRST_ERROR_STATUS:
                raise self._bucket.unavailable_error("DeleteObjects", _abbreviated(chunk), response)
            if failures := self._delete_failures(chunk, response.document):
                codes = ", ".join(sorted({failure.code for failure in failures}))
                advice = advise("DeleteObjects", response.status, failures[0].code)
                raise self._bucket.unavailable_error(
                    "DeleteObjects",
                    _abbreviated([failure.key for failure in failures]),
                    f"{codes}; {advice}" if advice else codes,
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
            response = self._bucket.send(
                S3Request(
                    "ListObjectsV2",
                    "GET",
                    self._bucket.name,
                    query=query,
                    # Other servers may refuse a header that they do not know.
                    headers=RESTORE_STATUS if self._bucket.client.is_aws else {},
                    expects_document=True,
                    fast_parse=s3_xml.fast_parse_listing,
                ),
                of=prefix,
            )
            if isinstance(response.fast_result, s3_xml.ListPage):
                page = response.fast_result
            elif response.document is None or response.status >= FIRST_ERROR_STATUS:
                raise self._bucket.unavailable_error("ListObjectsV2", prefix, response)
            else:
                page = self._page(prefix, response.document)
            yield from page.objects
            if page.next_token is None:
                return
            query["continuation-token"] = page.next_token

    def _delete_failures(
        self, keys: Sequence[str], document: Element
    ) -> Sequence[s3_xml.DeleteFailure]:
        try:
            return s3_xml.parse_delete_failures(document)
        except ValueError as error:
            raise self._bucket.unavailable_error(
                "DeleteObjects", _abbreviated(keys), error
            ) from error

    def _page(self, prefix: str, document: Element) -> s3_xml.ListPage:
        try:
            return s3_xml.parse_listing(document)
        except (KeyError, ValueError) as error:
            raise self._bucket.unavailable_error(
                "ListObjectsV2", prefix, f"the response is not a listing: {error}"
            ) from error

    def _info(self, operation: str, key: str, response: S3Response) -> ObjectInfo:
        try:
            return _object_info(key, response)
        except (KeyError, ValueError) as error:  # no S3 leaves out an ETag or a date
            reason = explain_foreign_response(
                response.status, self._bucket.client.url, response.headers.get("Content-Type")
            )
            raise self._bucket.unavailable_error(operation, key, reason) from error

    def _get(
        self, key: str, headers: Mapping[str, str], if_match: ETag | None
    ) -> S3Response | None:
        """Start a GET; ``None`` if there is no such key and no condition."""
        condition = {} if if_match is None else {"If-Match": if_match}
        response = self._send_get(key, {**headers, **condition})
        return self._judge_get(key, response, if_match)

    def _get_request(self, key: str, headers: Mapping[str, str]) -> S3Request:
        return S3Request(
            "GetObject", "GET", self._bucket.name, key, headers=headers, stream_body=True
        )

    def _judge_get(
        self, key: str, response: S3Response, if_match: ETag | None
    ) -> S3Response | None:
        if response.status < FIRST_ERROR_STATUS:
            return response
        if response.error_code == "NoSuchKey" and if_match is None:
            return None
        if response.error_code == "NoSuchKey" or response.status == PRECONDITIONFAILED:
            raise Changed(f"GetObject {self._bucket.object_url(key)}: {response.error_text}")
        raise self._get_error(key, response)

    def _send_get(self, key: str, headers: Mapping[str, str]) -> S3Response:
        return self._bucket.send(self._get_request(key, headers))

    def _get_error(self, key: str, response: S3Response) -> Archived | Unavailable:
        if response.error_code == "InvalidObjectState":
            return Archived(f"GetObject {self._bucket.object_url(key)}: {response.error_text}")
        return self._bucket.unavailable_error("GetObject", key, response)

    def _verified_chunks(self, key: str, response: S3Response) -> Iterator[bytes]:
        """Yield the body of a whole object, and verify it against S3's checksum."""
        kind, expected = _checksum_of(response)
        for chunk in self._chunks(key, response):
            if kind:
                kind.update(chunk)
            yield chunk
        if kind and kind.digest() != expected:
            raise self._bucket.unavailable_error(
                "GetObject", key, "the body does not match its checksum"
            )

    def _chunks(self, key: str, response: S3Response) -> Iterator[bytes]:
        remaining = response.content_length
        try:
            while chunk := response.read(STREAM_CHUNK_BYTES):
                remaining -= len(chunk)
                yield chunk
        except TRANSPORT_ERRORS as error:
            raise self._bucket.unavailable_error("GetObject", key, error) from error
        if remaining:
            raise self._bucket.unavailable_error(
                "GetObject", key, f"the body ends {remaining} bytes early"
            )


def _range_header(start: int, length: int) -> Mapping[str, str]:
    return {"Range": f"bytes={start}-{start + length - 1}"}


@dataclass(frozen=True, slots=True)
class _BegunOpen:
    """See ``BegunRead``."""

    store: S3Store
    key: str
    begun: BegunRequest

    def opened(self) -> AbstractContextManager[OpenObject | None]:
        return self.store.finish_open(self.key, self.begun)

    def drop(self) -> None:
        self.begun.drop()


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


def _checksum_of(response: S3Response) -> tuple[_Checksum | None, bytes]:
    """The checksum to compute and the expected value; one over parts (``…-3``) does not help."""
    for name, kind in (("crc32", _Crc32), ("sha256", hashlib.sha256)):
        encoded = response.headers.get(f"x-amz-checksum-{name}")
        if encoded and "-" not in encoded:
            return kind(), b64decode(encoded)
    return None, b""


def _object_info(key: str, response: S3Response) -> ObjectInfo:
    # The digest of a multipart upload is a digest of its parts' digests (COMPOSITE).  A server that
    # does not send the type is not trusted: reading the object once is cheaper than an index with a
    # digest that no client can reproduce.
    headers = {name.lower(): value for name, value in response.headers.items()}
    is_full_object = headers.get("x-amz-checksum-type") == "FULL_OBJECT"
    sha256 = headers.get("x-amz-checksum-sha256") if is_full_object else None
    return ObjectInfo(
        key=key,
        etag=ETag(headers["etag"]),
        size=int(headers.get("content-length", 0)),
        modified=_parse_http_date(headers["last-modified"]),
        metadata={
            name.removeprefix(METADATA_PREFIX): value
            for name, value in headers.items()
            if name.startswith(METADATA_PREFIX)
        },
        sha256=b64decode(sha256).hex() if sha256 else None,
        encryption=headers.get("x-amz-server-side-encryption"),
        archive=archive_of_headers(headers),
    )


@lru_cache(_DATES_CACHED_MAX)
def _parse_http_date(date: str) -> int:
    return int(parsedate_to_datetime(date).timestamp())


def _abbreviated(keys: Sequence[str]) -> str:
    omitted = len(keys) - _KEYS_NAMED_MAX
    named = ", ".join(keys[:_KEYS_NAMED_MAX])
    return f"{named} and {omitted} more" if omitted > 0 else named
