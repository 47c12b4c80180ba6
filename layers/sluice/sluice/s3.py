"""``ObjectStore`` on S3, with boto3.

The one place that knows S3's status codes.  Four of its habits shape this module:

- only a GET tells a missing key (``NoSuchKey``) from a missing bucket; HEAD says 404 to both;
- under ``If-Match`` a missing key is 404, another version 412, a concurrent operation 409;
- botocore resends a PUT whose answer was lost, and then reports 412 for its own write;
- botocore does not resend what breaks in the middle of a body.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from sluice.errors import Archived, Changed, Unavailable
from sluice.limits import (
    ATTEMPTS_MAX,
    CONCURRENT_REQUESTS_MAX,
    CONNECT_TIMEOUT_SECONDS,
    KEYS_PER_DELETE_MAX,
    READ_TIMEOUT_SECONDS,
    STREAM_CHUNK_BYTES,
)
from sluice.store import ETag, Headers, ObjectInfo, OpenObject, StoredObject

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        GetObjectOutputTypeDef,
        GetObjectRequestTypeDef,
        HeadObjectOutputTypeDef,
        ListObjectsV2RequestPaginateTypeDef,
        PutObjectRequestTypeDef,
    )

NOT_FOUND = 404
CONFLICT = 409
PRECONDITION_FAILED = 412
SERVER_ERROR = 500
PARTIAL_CONTENT = 206

# No answer at all.  botocore lets urllib3's error through where TLS fails in the middle of a body.
_NO_ANSWER = (BotoCoreError, HTTPError)
_KEYS_NAMED_MAX = 5


def make_client() -> S3Client:
    """Make a client for the region and endpoint of the environment; safe to share by threads."""
    return boto3.client(
        "s3",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            max_pool_connections=CONCURRENT_REQUESTS_MAX,
            # Checked where we ask for it: otherwise each ranged read would carry the mode.
            response_checksum_validation="when_required",
        ),
    )


class S3Store:
    """One bucket of S3."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._bucket_seen = False

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if _status(error) != NOT_FOUND:
                raise self._unavailable("HeadObject", key, error) from error
        except _NO_ANSWER as error:
            raise self._unavailable("HeadObject", key, error) from error
        else:
            return _describe(key, answer)
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
        request: GetObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": key,
            "ChecksumMode": "ENABLED",
        }
        if if_match is not None:
            request["IfMatch"] = if_match
        answer = self._get(request)
        if answer is None:
            yield None
            return
        try:
            yield OpenObject(_describe(key, answer), self._chunks(key, answer["Body"]))
        finally:
            answer["Body"].close()

    def read_range(self, key: str, start: int, length: int, *, if_match: ETag) -> bytes:
        """See ``ObjectStore.read_range``."""
        answer = self._get(
            {
                "Bucket": self._bucket,
                "Key": key,
                "Range": f"bytes={start}-{start + length - 1}",
                "IfMatch": if_match,
            }
        )
        if answer is None:  # never under If-Match
            raise Changed(f"GetObject {self._url(key)}: it is gone")
        try:
            # A server may ignore the range (200) or cut it at the end of the object: look
            # before reading what might be the whole of a large package.
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            offered = answer["ContentLength"]
            if status != PARTIAL_CONTENT or offered != length:
                raise Unavailable(
                    f"GetObject {self._url(key)}: asked for {length} bytes from {start}, "
                    f"was offered {offered} (status {status})"
                )
            return b"".join(self._chunks(key, answer["Body"]))
        finally:
            answer["Body"].close()

    def put(self, key: str, body: bytes, headers: Headers) -> None:
        """See ``ObjectStore.put``."""
        try:
            self._client.put_object(**self._put_request(key, body, headers))
        except (ClientError, *_NO_ANSWER) as error:
            raise self._unavailable("PutObject", key, error) from error

    def put_if(
        self, key: str, body: bytes, headers: Headers, *, expected: ETag | None
    ) -> ETag | None:
        """See ``ObjectStore.put_if``."""
        request = self._put_request(key, body, headers)
        if expected is None:
            request["IfNoneMatch"] = "*"
        else:
            request["IfMatch"] = expected
        try:
            return ETag(self._client.put_object(**request)["ETag"])
        except ClientError as error:
            status = _status(error)
            vanished = status == NOT_FOUND and _code(error) == "NoSuchKey"
            if vanished or status in (CONFLICT, PRECONDITION_FAILED) or status >= SERVER_ERROR:
                return None
            raise self._unavailable("PutObject", key, error) from error
        except _NO_ANSWER:
            return None

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        for first in range(0, len(keys), KEYS_PER_DELETE_MAX):
            chunk = keys[first : first + KEYS_PER_DELETE_MAX]
            try:
                answer = self._client.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": [{"Key": key} for key in chunk], "Quiet": True},
                )
            except (ClientError, *_NO_ANSWER) as error:
                raise self._unavailable("DeleteObjects", _some(chunk), error) from error
            if errors := answer.get("Errors"):
                kept = _some([error.get("Key", "?") for error in errors])
                codes = ", ".join(sorted({error.get("Code", "?") for error in errors}))
                raise self._unavailable("DeleteObjects", kept, codes)

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        # botocore asks for URL-encoded keys and decodes them itself; asking for it here would
        # turn the decoding off.
        request: ListObjectsV2RequestPaginateTypeDef = {"Bucket": self._bucket, "Prefix": prefix}
        if delimiter is not None:
            request["Delimiter"] = delimiter
        if after is not None:
            request["StartAfter"] = after
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(**request):
                for found in page.get("Contents", ()):
                    yield ObjectInfo(
                        key=found["Key"],
                        etag=ETag(found["ETag"]),
                        size=found["Size"],
                        modified=int(found["LastModified"].timestamp()),
                    )
        except (ClientError, *_NO_ANSWER) as error:
            raise self._unavailable("ListObjectsV2", prefix, error) from error

    def _get(self, request: GetObjectRequestTypeDef) -> GetObjectOutputTypeDef | None:
        key = request["Key"]
        try:
            return self._client.get_object(**request)
        except ClientError as error:
            code = _code(error)
            if code == "InvalidObjectState":
                raise Archived(f"GetObject {self._url(key)}: {error}") from error
            if code == "NoSuchKey" and "IfMatch" not in request:
                return None
            if code == "NoSuchKey" or _status(error) == PRECONDITION_FAILED:
                raise Changed(f"GetObject {self._url(key)}: {error}") from error
            raise self._unavailable("GetObject", key, error) from error
        except _NO_ANSWER as error:
            raise self._unavailable("GetObject", key, error) from error

    def _chunks(self, key: str, body: StreamingBody) -> Iterator[bytes]:
        try:
            yield from body.iter_chunks(STREAM_CHUNK_BYTES)
        except _NO_ANSWER as error:
            raise self._unavailable("GetObject", key, error) from error

    def _put_request(self, key: str, body: bytes, headers: Headers) -> PutObjectRequestTypeDef:
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": key,
            "Body": body,
            "ContentType": headers.content_type,
            "Metadata": headers.metadata,
        }
        if headers.cache_control is not None:
            request["CacheControl"] = headers.cache_control
        return request

    def _unavailable(self, operation: str, key: str, reason: object) -> Unavailable:
        return Unavailable(f"{operation} {self._url(key)}: {reason}")

    def _url(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"


def _describe(key: str, answer: GetObjectOutputTypeDef | HeadObjectOutputTypeDef) -> ObjectInfo:
    # The digest of a multipart upload is one of its parts' digests (COMPOSITE).  A server that
    # does not give the type is not believed: reading the object once is cheaper than an index
    # with a digest that no client can reproduce.
    sha256 = answer.get("ChecksumSHA256") if answer.get("ChecksumType") == "FULL_OBJECT" else None
    return ObjectInfo(
        key=key,
        etag=ETag(answer["ETag"]),
        size=answer["ContentLength"],
        modified=int(answer["LastModified"].timestamp()),
        metadata={name.lower(): value for name, value in answer["Metadata"].items()},
        sha256=b64decode(sha256).hex() if sha256 else None,
        encryption=answer.get("ServerSideEncryption"),
    )


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def _some(keys: Sequence[str]) -> str:
    more = len(keys) - _KEYS_NAMED_MAX
    named = ", ".join(keys[:_KEYS_NAMED_MAX])
    return f"{named} and {more} more" if more > 0 else named
