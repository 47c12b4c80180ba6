"""Conditional writes on S3: in one request, or in parts with the condition on the completion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sluice.conda.timestamps import EpochMs
from sluice.errors import Unavailable, Unsupported
from sluice.limits import PART_BYTES, PARTS_AT_ONCE, PUT_BYTES_MAX, SINGLE_PUT_BYTES_MAX
from sluice.storage import s3_xml
from sluice.storage.conditional_writes import ConditionalWrites
from sluice.storage.object_store import ETag, ObjectHeaders, PreparedPut
from sluice.storage.s3_bucket import (
    CONFLICT,
    FAILED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    SERVER_ERROR,
    S3Bucket,
    headers_to_send,
)
from sluice.storage.s3_client import (
    CHECKSUM_HEADER,
    FIRST_ERROR_STATUS,
    S3Request,
    S3Response,
    crc32_checksum,
)


@dataclass(frozen=True, slots=True)
class WriteAttempt:
    """A server's response to one conditional write, after retries."""

    status: int
    code: str
    """S3's own error code; empty if there is none."""
    summary: str
    """Operation, object, status, and S3's error code and message: for people."""
    etag: ETag | None
    """The new object's ETag, if the response has it."""


class S3ConditionalPuts:
    """Conditional writes to one bucket."""

    def __init__(
        self, bucket: S3Bucket, conditional_writes: Callable[[], ConditionalWrites]
    ) -> None:
        """``conditional_writes``: see ``S3Store``."""
        self._bucket = bucket
        self._conditional_writes = conditional_writes

    def prepare(
        self, key: str, body: bytes, headers: ObjectHeaders, *, expected: ETag | None
    ) -> PreparedPut:
        """See ``ObjectStore.prepare_put``.

        A large object is sent in parts, several at once, if their completion can be conditional.
        If not, it is sent in one request, and nothing is sent ahead.  Raises ``Unsupported`` if S3
        does not accept such a large request.
        """
        writes = self._conditional_writes()
        condition = writes.condition_headers(expected)
        if len(body) > SINGLE_PUT_BYTES_MAX and writes.completion_is_conditional:
            return _PartsPut(self, self._send_parts(key, body, headers), condition)
        if len(body) > PUT_BYTES_MAX:
            raise Unsupported(
                f"{self._bucket.object_url(key)} cannot be written: it has {len(body)} bytes. This "
                "S3 server ignores the condition of CompleteMultipartUpload, so the object must be "
                f"written with one PutObject, which is limited to {PUT_BYTES_MAX} bytes. Use a "
                "server that supports If-Match in CompleteMultipartUpload, or split the channel"
            )
        return _WholePut(self, key, body, headers, condition)

    def attempt(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        condition: Mapping[str, str],
        *,
        in_parts: bool = False,
    ) -> WriteAttempt:
        """Write with a raw condition header, and return the server's response.

        For probes of a server: ``put_if`` returns less, because its callers need no more.  A
        checksum in ``condition`` takes the place of the body's.
        ``in_parts``: as a multipart upload, whatever its size.  Raises ``Unavailable`` if there is
        no response.
        """
        operation = "CompleteMultipartUpload" if in_parts else "PutObject"
        try:
            if in_parts:
                parts = self._send_parts(key, body, headers)
                answer, etag = self.complete_parts(parts, condition, None)
            else:
                answer = self.put_conditionally(key, body, headers, condition, None)
                etag = answer.headers.get("ETag")
        except _PartsRefused as refused:
            return WriteAttempt(
                refused.answer.status, refused.answer.error_code, str(refused), None
            )
        except FAILED as error:
            raise self._bucket.unavailable_error(operation, key, error) from error
        reason = self._bucket.explain(operation, answer)
        summary = f"{operation} {self._bucket.object_url(key)}: {reason}"
        return WriteAttempt(answer.status, answer.error_code, summary, ETag(etag) if etag else None)

    def put_conditionally(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        condition: Mapping[str, str],
        not_after_ms: EpochMs | None,
    ) -> S3Response:
        """Send an entire object with a condition; raises one of ``FAILED``."""
        request = self._bucket.put_request(key, body, {**headers_to_send(headers), **condition})
        return self._bucket.client.call(request, not_after_ms=not_after_ms)

    def _send_parts(self, key: str, body: bytes, headers: ObjectHeaders) -> _Parts:
        """Upload in parts, several at once; nothing is visible before they are completed.

        If the process is killed, the bucket's lifecycle rule removes the parts.
        """
        upload = partial(S3Request, bucket=self._bucket.name, key=key)
        begun = self._bucket.send(
            upload(
                "CreateMultipartUpload",
                "POST",
                query={"uploads": ""},
                headers={**headers_to_send(headers), "x-amz-checksum-algorithm": "CRC32"},
                expects_document=True,
            )
        )
        upload_id = begun.document.findtext("UploadId") if begun.document is not None else None
        if begun.status >= FIRST_ERROR_STATUS or not upload_id:
            raise self._refused("CreateMultipartUpload", key, begun)

        def put_part(number: int) -> s3_xml.UploadedPart:
            part = memoryview(body)[(number - 1) * PART_BYTES : number * PART_BYTES]
            query = {"partNumber": str(number), "uploadId": upload_id}
            crc = crc32_checksum(part)
            answer = self._bucket.send(
                upload(
                    "UploadPart",
                    "PUT",
                    query=query,
                    headers={CHECKSUM_HEADER: crc},
                    body=part,
                    sign_payload=self._bucket.sign_payloads(),
                )
            )
            if answer.status >= FIRST_ERROR_STATUS:
                raise self._refused("UploadPart", key, answer)
            return s3_xml.UploadedPart(answer.headers["ETag"], crc)

        try:
            with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
                parts = list(pool.map(put_part, range(1, -(-len(body) // PART_BYTES) + 1)))
        except BaseException:
            self.abort_parts(key, upload_id)
            raise
        return _Parts(key, upload_id, parts)

    def complete_parts(
        self, parts: _Parts, condition: Mapping[str, str], not_after_ms: EpochMs | None
    ) -> tuple[S3Response, str | None]:
        """Complete a multipart upload under a condition and a deadline, or abort it.

        Raises one of ``FAILED`` if there is no response to the completion.
        """
        etag: str | None = None
        try:
            answer = self._bucket.client.call(
                S3Request(
                    "CompleteMultipartUpload",
                    "POST",
                    self._bucket.name,
                    parts.key,
                    query={"uploadId": parts.upload_id},
                    headers=condition,
                    body=s3_xml.complete_upload_request(parts.parts),
                    sign_payload=self._bucket.sign_payloads(),
                    expects_document=True,
                ),
                not_after_ms=not_after_ms,
            )
            if answer.status < FIRST_ERROR_STATUS and answer.document is not None:
                etag = answer.document.findtext("ETag")
        finally:
            if etag is None:
                self.abort_parts(parts.key, parts.upload_id)
        return answer, etag

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Abort an upload; if it was completed or aborted already, this does nothing."""
        query = {"uploadId": upload_id}
        with suppress(*FAILED):  # the lifecycle rule does it, too
            self._bucket.client.call(
                S3Request("AbortMultipartUpload", "DELETE", self._bucket.name, key, query=query)
            )

    def written_etag(
        self, answer: S3Response, operation: str, key: str, etag: str | None
    ) -> ETag | None:
        """The result of a conditional write, see ``ObjectStore.put_if``."""
        status = answer.status
        if status < FIRST_ERROR_STATUS and etag:
            return ETag(etag)
        vanished = status == NOT_FOUND and answer.error_code in ("NoSuchKey", "NoSuchUpload")
        # A completion that fails while S3 works on it reports the error in the body of a 200.
        unsettled = status < FIRST_ERROR_STATUS or (
            status >= SERVER_ERROR and status != NOT_IMPLEMENTED
        )
        if vanished or unsettled or status in (CONFLICT, PRECONDITION_FAILED):
            return None
        raise self._bucket.unavailable_error(operation, key, answer)

    def _refused(self, operation: str, key: str, answer: S3Response) -> _PartsRefused:
        reason = self._bucket.explain(operation, answer)
        return _PartsRefused(f"{operation} {self._bucket.object_url(key)}: {reason}", answer)


@dataclass(frozen=True, slots=True)
class _Parts:
    """An upload whose parts have all been sent."""

    key: str
    upload_id: str
    parts: Sequence[s3_xml.UploadedPart]


class _PartsPut:
    """``PreparedPut`` of an object whose parts have been sent."""

    def __init__(
        self, puts: S3ConditionalPuts, parts: _Parts, condition: Mapping[str, str]
    ) -> None:
        self._puts = puts
        self._parts: _Parts | None = parts
        """``None`` once they are completed or aborted."""
        self._condition = condition

    def complete(self, *, not_after_ms: EpochMs | None = None) -> ETag | None:
        """See ``PreparedPut.complete``."""
        parts, self._parts = self._parts, None
        if parts is None:
            raise ValueError("the write was already completed")
        try:
            answer, etag = self._puts.complete_parts(parts, self._condition, not_after_ms)
        except FAILED:
            return None
        return self._puts.written_etag(answer, "CompleteMultipartUpload", parts.key, etag)

    def abort(self) -> None:
        """See ``PreparedPut.abort``."""
        parts, self._parts = self._parts, None
        if parts is not None:
            self._puts.abort_parts(parts.key, parts.upload_id)


@dataclass(frozen=True, slots=True)
class _WholePut:
    """``PreparedPut`` of an object that is sent in one request."""

    puts: S3ConditionalPuts
    key: str
    body: bytes
    headers: ObjectHeaders
    condition: Mapping[str, str]

    def complete(self, *, not_after_ms: EpochMs | None = None) -> ETag | None:
        """See ``PreparedPut.complete``."""
        try:
            answer = self.puts.put_conditionally(
                self.key, self.body, self.headers, self.condition, not_after_ms
            )
        except FAILED:
            return None
        return self.puts.written_etag(answer, "PutObject", self.key, answer.headers.get("ETag"))

    def abort(self) -> None:
        """See ``PreparedPut.abort``: nothing was sent."""


class _PartsRefused(Unavailable):
    """A server did not accept a multipart upload, or one of its parts."""

    def __init__(self, message: str, answer: S3Response) -> None:
        super().__init__(message)
        self.answer = answer
