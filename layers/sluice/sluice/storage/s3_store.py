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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from sluice.errors import Archived, Changed, Unavailable, Unsupported
from sluice.limits import (
    KEYS_PER_DELETE_MAX,
    PART_BYTES,
    PARTS_AT_ONCE,
    PUT_BYTES_MAX,
    STREAM_CHUNK_BYTES,
    WHOLE_PUT_BYTES_MAX,
)
from sluice.storage import s3_xml
from sluice.storage.conditional_writes import AWS, ConditionalWrites
from sluice.storage.object_store import ETag, Headers, ObjectInfo, OpenObject, StoredObject, nothing
from sluice.storage.s3_client import (
    CHECKSUM,
    NO_ANSWER,
    REFUSED_FROM,
    Answer,
    Garbled,
    Request,
    S3Client,
    checksum,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

PARTIAL_CONTENT = 206
NOT_FOUND = 404
CONFLICT = 409
PRECONDITION_FAILED = 412
SERVER_ERROR = 500

_FAILED = (*NO_ANSWER, Garbled)
_KEYS_NAMED_MAX = 5
_MOMENTS_REMEMBERED = 1024
_METADATA = "x-amz-meta-"
_CHECKED = {"x-amz-checksum-mode": "ENABLED"}
"""Asks for the checksum of a whole object, to hold its body against."""


@dataclass(frozen=True, slots=True)
class WriteAttempt:
    """What a server answered to one conditional write, after retries."""

    status: int
    code: str
    """S3's own, of an error; empty where it gives none."""
    summary: str
    """Operation, object, status, and S3's code and message where it refuses: for people."""
    etag: ETag | None
    """Of what was written, where the answer has it."""


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
        self._client = client
        self._bucket = bucket
        self._conditional_writes = conditional_writes
        self._bucket_seen = False

    def now_ms(self) -> int:
        """See ``ObjectStore.now_ms``."""
        return self._client.now_ms()

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        answer = self._call(Request("HeadObject", "HEAD", self._bucket, key, headers=_CHECKED))
        if answer.status < REFUSED_FROM:
            return _describe(key, answer)
        if answer.status != NOT_FOUND:
            raise self._unavailable("HeadObject", key, answer.refusal)
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
            raise Changed(f"GetObject {self._url(key)}: it is gone")
        try:
            # A server may ignore the range (200) or cut it at the end of the object: look
            # before reading what might be the whole of a large package.
            if answer.status != PARTIAL_CONTENT or answer.length != length:
                raise Unavailable(
                    f"GetObject {self._url(key)}: asked for {length} bytes from {start}, "
                    f"was offered {answer.length} (status {answer.status})"
                )
            return b"".join(self._chunks(key, answer))
        finally:
            answer.close()

    def put(self, key: str, body: bytes, headers: Headers) -> None:
        """See ``ObjectStore.put``."""
        answer = self._call(self._put_request(key, body, _told(headers)))
        if answer.status >= REFUSED_FROM:
            raise self._unavailable("PutObject", key, answer.refusal)

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: Headers,
        *,
        expected: ETag | None,
        before: Callable[[], None] = nothing,
        not_after_ms: int | None = None,
    ) -> ETag | None:
        """See ``ObjectStore.put_if``.

        What is large is sent in parts, several at once, where their completion is conditional.
        Elsewhere it is sent in one piece; raises ``Unsupported`` where S3 takes none so large.
        """
        writes = self._conditional_writes()
        condition = writes.condition(expected)
        if len(body) > WHOLE_PUT_BYTES_MAX and writes.completion_is_conditional:
            return self._put_parts(key, body, headers, condition, before, not_after_ms)
        if len(body) > PUT_BYTES_MAX:
            raise Unsupported(
                f"{self._url(key)} cannot be written: it has {len(body)} bytes. This S3 ignores "
                "the condition of an upload in parts (CompleteMultipartUpload), so the object has "
                f"to go up in one PutObject, and that takes at most {PUT_BYTES_MAX} bytes. Use an "
                "S3 that honours If-Match there, or split the channel"
            )
        before()
        try:
            answer = self._put_conditionally(key, body, headers, condition, not_after_ms)
        except _FAILED:
            return None
        return self._landed(answer, "PutObject", key, answer.headers.get("ETag"))

    def attempt(
        self,
        key: str,
        body: bytes,
        headers: Headers,
        condition: Mapping[str, str],
        *,
        in_parts: bool = False,
    ) -> WriteAttempt:
        """Write under a condition as it goes over the wire, and tell what the server answered.

        For trials of what a server does: ``put_if`` says less, for its callers need no
        more.  ``in_parts``: as an upload in parts, whatever its size.  Raises ``Unavailable``
        where no answer came.
        """
        operation = "CompleteMultipartUpload" if in_parts else "PutObject"
        try:
            if in_parts:
                answer, etag = self._complete_parts(key, body, headers, condition, nothing, None)
            else:
                answer = self._put_conditionally(key, body, headers, condition, None)
                etag = answer.headers.get("ETag")
        except _PartsRefused as refused:
            return WriteAttempt(refused.answer.status, refused.answer.code, str(refused), None)
        except _FAILED as error:
            raise self._unavailable(operation, key, error) from error
        summary = f"{operation} {self._url(key)}: {answer.refusal}"
        return WriteAttempt(answer.status, answer.code, summary, ETag(etag) if etag else None)

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        for first in range(0, len(keys), KEYS_PER_DELETE_MAX):
            chunk = keys[first : first + KEYS_PER_DELETE_MAX]
            body = s3_xml.deletion(chunk)
            # S3-compatible servers of before 2025 know no other checksum here.
            md5 = hashlib.md5(body, usedforsecurity=False).digest()
            answer = self._call(
                Request(
                    "DeleteObjects",
                    "POST",
                    self._bucket,
                    query={"delete": ""},
                    headers={"Content-MD5": b64encode(md5).decode()},
                    body=body,
                    gives_document=True,
                ),
                of=_some(chunk),
            )
            if answer.document is None or answer.status >= REFUSED_FROM:
                raise self._unavailable("DeleteObjects", _some(chunk), answer.refusal)
            if left := s3_xml.not_deleted(answer.document):
                codes = ", ".join(sorted({one.code for one in left}))
                raise self._unavailable("DeleteObjects", _some([one.key for one in left]), codes)

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
            answer = self._call(
                Request(
                    "ListObjectsV2",
                    "GET",
                    self._bucket,
                    query=query,
                    gives_document=True,
                    read_quickly=s3_xml.quick_listing,
                ),
                of=prefix,
            )
            if isinstance(answer.result, s3_xml.Page):
                page = answer.result
            elif answer.document is None or answer.status >= REFUSED_FROM:
                raise self._unavailable("ListObjectsV2", prefix, answer.refusal)
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
            raise self._unavailable("ListObjectsV2", prefix, f"no listing: {error}") from error

    def _put_parts(
        self,
        key: str,
        body: bytes,
        headers: Headers,
        condition: Mapping[str, str],
        before: Callable[[], None],
        not_after_ms: int | None,
    ) -> ETag | None:
        try:
            answer, etag = self._complete_parts(key, body, headers, condition, before, not_after_ms)
        except _FAILED:
            return None
        return self._landed(answer, "CompleteMultipartUpload", key, etag)

    def _complete_parts(
        self,
        key: str,
        body: bytes,
        headers: Headers,
        condition: Mapping[str, str],
        before: Callable[[], None],
        not_after_ms: int | None,
    ) -> tuple[Answer, str | None]:
        """Upload in parts; condition and deadline go with the completion, whose answer is returned.

        What a killed process leaves of it is removed by the bucket's lifecycle rule.
        Raises one of ``_FAILED`` where the completion is not answered.
        """
        upload = partial(Request, bucket=self._bucket, key=key)
        begun = self._call(
            upload(
                "CreateMultipartUpload",
                "POST",
                query={"uploads": ""},
                headers={**_told(headers), "x-amz-checksum-algorithm": "CRC32"},
                gives_document=True,
            )
        )
        upload_id = begun.document.findtext("UploadId") if begun.document is not None else None
        if begun.status >= REFUSED_FROM or not upload_id:
            raise self._parts_refused("CreateMultipartUpload", key, begun)

        def put_part(number: int) -> s3_xml.Part:
            part = memoryview(body)[(number - 1) * PART_BYTES : number * PART_BYTES]
            query = {"partNumber": str(number), "uploadId": upload_id}
            crc = checksum(part)
            answer = self._call(
                upload("UploadPart", "PUT", query=query, headers={CHECKSUM: crc}, body=part)
            )
            if answer.status >= REFUSED_FROM:
                raise self._parts_refused("UploadPart", key, answer)
            return s3_xml.Part(answer.headers["ETag"], crc)

        etag: str | None = None
        try:
            with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
                parts = list(pool.map(put_part, range(1, -(-len(body) // PART_BYTES) + 1)))
            before()
            answer = self._client.call(
                upload(
                    "CompleteMultipartUpload",
                    "POST",
                    query={"uploadId": upload_id},
                    headers=condition,
                    body=s3_xml.completion(parts),
                    gives_document=True,
                ),
                not_after_ms=not_after_ms,
            )
            if answer.status < REFUSED_FROM and answer.document is not None:
                etag = answer.document.findtext("ETag")
        finally:
            if etag is None:
                self._abort(key, upload_id)
        return answer, etag

    def _abort(self, key: str, upload_id: str) -> None:
        """Give an upload up; where it is done already, nothing is left to give up."""
        query = {"uploadId": upload_id}
        with suppress(*_FAILED):  # the lifecycle rule does it, too
            self._client.call(
                Request("AbortMultipartUpload", "DELETE", self._bucket, key, query=query)
            )

    def _landed(self, answer: Answer, operation: str, key: str, etag: str | None) -> ETag | None:
        """What a conditional write came to, see ``ObjectStore.put_if``."""
        status = answer.status
        if status < REFUSED_FROM and etag:
            return ETag(etag)
        vanished = status == NOT_FOUND and answer.code in ("NoSuchKey", "NoSuchUpload")
        # A completion that fails while S3 works on it says so behind a 200.
        unsettled = status < REFUSED_FROM or status >= SERVER_ERROR
        if vanished or unsettled or status in (CONFLICT, PRECONDITION_FAILED):
            return None
        raise self._unavailable(operation, key, answer.refusal)

    def _get(self, key: str, headers: Mapping[str, str], if_match: ETag | None) -> Answer | None:
        """Start a GET; ``None`` where there is no such key and no condition."""
        condition = {} if if_match is None else {"If-Match": if_match}
        answer = self._call(
            Request(
                "GetObject",
                "GET",
                self._bucket,
                key,
                headers={**headers, **condition},
                streams=True,
            )
        )
        if answer.status < REFUSED_FROM:
            return answer
        if answer.code == "InvalidObjectState":
            raise Archived(f"GetObject {self._url(key)}: {answer.refusal}")
        if answer.code == "NoSuchKey" and if_match is None:
            return None
        if answer.code == "NoSuchKey" or answer.status == PRECONDITION_FAILED:
            raise Changed(f"GetObject {self._url(key)}: {answer.refusal}")
        raise self._unavailable("GetObject", key, answer.refusal)

    def _checked(self, key: str, answer: Answer) -> Iterator[bytes]:
        """The body of a whole object, held against the checksum that S3 has of it."""
        kind, expected = _checksum_of(answer)
        for chunk in self._chunks(key, answer):
            if kind:
                kind.update(chunk)
            yield chunk
        if kind and kind.digest() != expected:
            raise self._unavailable("GetObject", key, "the body does not match its checksum")

    def _chunks(self, key: str, answer: Answer) -> Iterator[bytes]:
        left = answer.length
        try:
            while chunk := answer.read(STREAM_CHUNK_BYTES):
                left -= len(chunk)
                yield chunk
        except NO_ANSWER as error:
            raise self._unavailable("GetObject", key, error) from error
        if left:
            raise self._unavailable("GetObject", key, f"the body ends {left} bytes early")

    def _put_conditionally(
        self,
        key: str,
        body: bytes,
        headers: Headers,
        condition: Mapping[str, str],
        not_after_ms: int | None,
    ) -> Answer:
        request = self._put_request(key, body, {**_told(headers), **condition})
        return self._client.call(request, not_after_ms=not_after_ms)

    def _put_request(self, key: str, body: bytes, headers: Mapping[str, str]) -> Request:
        checked = {**headers, CHECKSUM: checksum(body)}
        return Request("PutObject", "PUT", self._bucket, key, headers=checked, body=body)

    def _call(self, request: Request, *, of: str | None = None) -> Answer:
        """Send a request; ``of`` is what to name where it is not about one key."""
        try:
            return self._client.call(request)
        except _FAILED as error:
            name = request.key if of is None else of
            raise self._unavailable(request.operation, name, error) from error

    def _parts_refused(self, operation: str, key: str, answer: Answer) -> _PartsRefused:
        return _PartsRefused(f"{operation} {self._url(key)}: {answer.refusal}", answer)

    def _unavailable(self, operation: str, key: str, reason: object) -> Unavailable:
        return Unavailable(f"{operation} {self._url(key)}: {reason}")

    def _url(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"


class _PartsRefused(Unavailable):
    """A server does not take an upload in parts, or one of them."""

    def __init__(self, message: str, answer: Answer) -> None:
        super().__init__(message)
        self.answer = answer


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


def _told(headers: Headers) -> dict[str, str]:
    told = {"Content-Type": headers.content_type}
    if headers.cache_control is not None:
        told["Cache-Control"] = headers.cache_control
    return told | {f"{_METADATA}{name}": value for name, value in headers.metadata.items()}


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
            name.removeprefix(_METADATA): value
            for name, value in headers.items()
            if name.startswith(_METADATA)
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
