"""S3's operations on what is in memory.  Each is one step: nothing comes between two of them."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Mapping
from email.utils import formatdate
from urllib.parse import unquote

from benchmarks.s3 import listing
from benchmarks.s3.answers import Answer, Refused, document, element
from benchmarks.s3.conditions import Deviation, byte_range, check_read, check_write
from benchmarks.s3.multipart import Upload, Uploads
from benchmarks.s3.objects import Bucket, Object, etag
from benchmarks.s3.requests import Request


class Service:
    """All buckets."""

    def __init__(
        self,
        *,
        page_size: int = listing.PAGE_KEYS_MAX,
        deviations: Collection[Deviation] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._clock = clock
        self.buckets: dict[str, Bucket] = {}
        self._deviations = deviations
        self._page_size = page_size
        self._uploads = Uploads()
        self._operations: dict[str, Callable[[Request], Answer]] = {
            "s3:AbortMultipartUpload": self._abort_multipart_upload,
            "s3:CompleteMultipartUpload": self._complete_multipart_upload,
            "s3:CreateBucket": self._create_bucket,
            "s3:CreateMultipartUpload": self._create_multipart_upload,
            "s3:DeleteObject": self._delete_object,
            "s3:DeleteObjects": self._delete_objects,
            "s3:GetObject": self._get_object,
            "s3:HeadBucket": self._head_bucket,
            "s3:HeadObject": self._get_object,
            "s3:ListObjectsV2": self._list_objects,
            "s3:PutObject": self._put_object,
            "s3:UploadPart": self._upload_part,
            "s3:UploadPartCopy": self._upload_part_copy,
        }

    def answer(self, request: Request) -> Answer:
        """Do what is asked; what is refused is answered as S3 does."""
        operation = self._operations.get(request.operation, _unknown)
        try:
            return operation(request)
        except Refused as refused:
            return refused.answer(f"/{request.bucket}/{request.key}")

    def _bucket(self, name: str) -> Bucket:
        try:
            return self.buckets[name]
        except KeyError:
            raise Refused("NoSuchBucket") from None

    def _object(self, bucket: str, key: str, if_match: str | None) -> Object:
        stored = self._bucket(bucket).objects.get(key)
        if stored is None:
            raise Refused("NoSuchKey")
        check_read(if_match, stored)
        return stored

    def _create_bucket(self, request: Request) -> Answer:
        self.buckets.setdefault(request.bucket, Bucket())
        return Answer(headers={"Location": f"/{request.bucket}"})

    def _head_bucket(self, request: Request) -> Answer:
        self._bucket(request.bucket)
        return Answer()

    def _put_object(self, request: Request) -> Answer:
        bucket = self._bucket(request.bucket)
        check_write(request.headers, bucket.objects.get(request.key), self._deviations)
        stored = Object(
            request.body, etag(request.body), self._clock(), request.kept, request.checksums
        )
        bucket.put(request.key, stored)
        return Answer(headers={"ETag": stored.etag, **_typed(stored.checksums)})

    def _get_object(self, request: Request) -> Answer:
        stored = self._object(request.bucket, request.key, request.headers.get("if-match"))
        headers = {
            "ETag": stored.etag,
            "Last-Modified": formatdate(stored.modified, usegmt=True),
            "Accept-Ranges": "bytes",
            "content-type": "binary/octet-stream",
            **stored.headers,
        }
        if stored.etag == request.headers.get("if-none-match"):
            return Answer(304, headers)
        if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers |= _typed(stored.checksums) if "range" not in request.headers else {}
        size = len(stored.body)
        if request.operation == "s3:HeadObject":
            return Answer(headers=headers, size=size)
        if stored.archived:
            raise Refused("InvalidObjectState")
        told = request.headers.get("range")
        if told is None:
            return Answer(headers=headers, body=stored.body)
        first, end = byte_range(told, size)
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        return Answer(206, headers, memoryview(stored.body)[first:end])

    def _delete_object(self, request: Request) -> Answer:
        self._bucket(request.bucket).delete(request.key)
        return Answer(204)

    def _delete_objects(self, request: Request) -> Answer:
        bucket = self._bucket(request.bucket)
        try:
            root = ET.fromstring(request.body)  # noqa: S314 - from a client that was started here
        except ET.ParseError as error:
            raise Refused("MalformedXML") from error
        keys = [found.text or "" for found in root.iterfind("{*}Object/{*}Key")]
        for key in keys:
            bucket.delete(key)
        quiet = root.findtext("{*}Quiet", "") == "true"
        told = [] if quiet else [f"<Deleted>{element('Key', key)}</Deleted>" for key in keys]
        return document("DeleteResult", "".join(told))

    def _list_objects(self, request: Request) -> Answer:
        bucket = self._bucket(request.bucket)
        return listing.answer(request.bucket, bucket, request.query, self._page_size)

    def _create_multipart_upload(self, request: Request) -> Answer:
        self._bucket(request.bucket)
        name = self._uploads.begin(Upload(request.bucket, request.key, request.kept))
        told = element("Bucket", request.bucket) + element("Key", request.key)
        return document("InitiateMultipartUploadResult", told + element("UploadId", name))

    def _upload_part(self, request: Request) -> Answer:
        told = self._part_of(request).put(int(request.query["partNumber"]), request.body)
        return Answer(headers={"ETag": told, **request.checksums})

    def _upload_part_copy(self, request: Request) -> Answer:
        upload = self._part_of(request)
        bucket, _, key = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("/")
        source = self._object(bucket, key, request.headers.get("x-amz-copy-source-if-match"))
        if source.archived:
            raise Refused("InvalidObjectState")
        body, told = source.body, request.headers.get("x-amz-copy-source-range")
        if told is not None:
            first, end = byte_range(told, len(body))
            body = body[first:end]
        part = element("ETag", upload.put(int(request.query["partNumber"]), body))
        return document("CopyPartResult", part + element("LastModified", self._iso_now()))

    def _complete_multipart_upload(self, request: Request) -> Answer:
        upload = self._part_of(request)
        bucket = self._bucket(request.bucket)
        is_conditional = Deviation.UNCONDITIONAL_COMPLETION not in self._deviations
        if is_conditional:
            check_write(request.headers, bucket.objects.get(request.key), self._deviations)
        body, told = upload.complete(request.body)
        bucket.put(request.key, Object(body, told, self._clock(), upload.headers))
        self._uploads.end(request.query["uploadId"])
        found = element("Bucket", request.bucket) + element("Key", request.key)
        shown = element("ETag", told if is_conditional else "")
        return document("CompleteMultipartUploadResult", found + shown)

    def _abort_multipart_upload(self, request: Request) -> Answer:
        self._part_of(request)
        self._uploads.end(request.query["uploadId"])
        return Answer(204)

    def _part_of(self, request: Request) -> Upload:
        return self._uploads.find(request.query["uploadId"], request.bucket, request.key)

    def _iso_now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self._clock()))


def _unknown(_request: Request) -> Answer:
    raise Refused("NotImplemented")


def _typed(checksums: Mapping[str, str]) -> dict[str, str]:
    return {**checksums, "x-amz-checksum-type": "FULL_OBJECT"} if checksums else {}
