"""S3's operations on what is in memory.  Each is one step: nothing comes between two of them."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Mapping
from email.utils import formatdate
from urllib.parse import unquote

from testkit.s3_server import listing
from testkit.s3_server.conditions import Deviation, byte_range, check_read, check_write
from testkit.s3_server.multipart import Upload, Uploads, crc32_of
from testkit.s3_server.objects import Bucket, Object, etag
from testkit.s3_server.requests import Request
from testkit.s3_server.responses import Response, S3Error, document, element


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
        self._verifies_checksums = Deviation.CHECKSUMS_IGNORED not in deviations
        self._page_size = page_size
        self._uploads = Uploads()
        self._operations: dict[str, Callable[[Request], Response]] = {
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

    def answer(self, request: Request) -> Response:
        """Do what is asked; what is error is answered as S3 does."""
        operation = self._operations.get(request.operation, _unknown)
        try:
            request.check_signed_digest()
            return operation(request)
        except S3Error as error:
            return error.answer(f"/{request.bucket}/{request.key}")

    def _bucket(self, name: str) -> Bucket:
        try:
            return self.buckets[name]
        except KeyError:
            raise S3Error("NoSuchBucket") from None

    def _object(self, bucket: str, key: str, if_match: str | None) -> Object:
        stored: Object | None = self._bucket(bucket).objects.get(key)
        if stored is None:
            raise S3Error("NoSuchKey")
        check_read(if_match, stored)
        return stored

    def _create_bucket(self, request: Request) -> Response:
        self.buckets.setdefault(request.bucket, Bucket())
        return Response(headers={"Location": f"/{request.bucket}"})

    def _head_bucket(self, request: Request) -> Response:
        self._bucket(request.bucket)
        return Response()

    def _put_object(self, request: Request) -> Response:
        bucket = self._bucket(request.bucket)
        check_write(request.headers, bucket.objects.get(request.key), self._deviations)
        checksums = request.checksums(verify=self._verifies_checksums)
        stored = Object(request.body, etag(request.body), self._clock(), request.kept, checksums)
        bucket.put(request.key, stored)
        return Response(headers={"ETag": stored.etag, **_typed(stored.checksums)})

    def _get_object(self, request: Request) -> Response:
        stored = self._object(request.bucket, request.key, request.headers.get("if-match"))
        headers = {
            "ETag": stored.etag,
            "Last-Modified": formatdate(stored.modified, usegmt=True),
            "Accept-Ranges": "bytes",
            "content-type": "binary/octet-stream",
            **stored.headers,
        }
        if stored.etag == request.headers.get("if-none-match"):
            return Response(304, headers)
        if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers |= _typed(stored.checksums) if "range" not in request.headers else {}
        size = len(stored.body)
        if request.operation == "s3:HeadObject":
            return Response(headers=headers, size=size)
        if stored.archived:
            raise S3Error("InvalidObjectState")
        wanted = request.headers.get("range")
        if wanted is None:
            return Response(headers=headers, body=stored.body)
        first, end = byte_range(wanted, size)
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        return Response(206, headers, memoryview(stored.body)[first:end])

    def _delete_object(self, request: Request) -> Response:
        self._bucket(request.bucket).delete(request.key)
        return Response(204)

    def _delete_objects(self, request: Request) -> Response:
        bucket = self._bucket(request.bucket)
        try:
            root = ET.fromstring(request.body)  # noqa: S314 - from a client that was started here
        except ET.ParseError as error:
            raise S3Error("MalformedXML") from error
        keys = [key.text or "" for key in root.iterfind("{*}Object/{*}Key")]
        for key in keys:
            bucket.delete(key)
        quiet = root.findtext("{*}Quiet", "") == "true"
        deleted = [] if quiet else [f"<Deleted>{element('Key', key)}</Deleted>" for key in keys]
        return document("DeleteResult", "".join(deleted))

    def _list_objects(self, request: Request) -> Response:
        bucket = self._bucket(request.bucket)
        return listing.answer(request.bucket, bucket, request.query, self._page_size)

    def _create_multipart_upload(self, request: Request) -> Response:
        self._bucket(request.bucket)
        name = self._uploads.begin(
            Upload(
                request.bucket,
                request.key,
                request.kept,
                request.headers.get("x-amz-checksum-algorithm"),
            )
        )
        names = element("Bucket", request.bucket) + element("Key", request.key)
        return document("InitiateMultipartUploadResult", names + element("UploadId", name))

    def _upload_part(self, request: Request) -> Response:
        checksums = request.checksums(verify=self._verifies_checksums)
        part_etag = self._part_of(request).put(int(request.query["partNumber"]), request.body)
        return Response(headers={"ETag": part_etag, **checksums})

    def _upload_part_copy(self, request: Request) -> Response:
        upload = self._part_of(request)
        bucket, _, key = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("/")
        source = self._object(bucket, key, request.headers.get("x-amz-copy-source-if-match"))
        if source.archived:
            raise S3Error("InvalidObjectState")
        body, wanted = source.body, request.headers.get("x-amz-copy-source-range")
        if wanted is not None:
            first, end = byte_range(wanted, len(body))
            body = body[first:end]
        part = element("ETag", upload.put(int(request.query["partNumber"]), body))
        if self._verifies_checksums and upload.checksum_algorithm == "CRC32":
            part += element("ChecksumCRC32", crc32_of(body))
        return document("CopyPartResult", part + element("LastModified", self._iso_now()))

    def _complete_multipart_upload(self, request: Request) -> Response:
        upload = self._part_of(request)
        bucket = self._bucket(request.bucket)
        is_conditional = Deviation.UNCONDITIONAL_COMPLETION not in self._deviations
        if is_conditional:
            check_write(request.headers, bucket.objects.get(request.key), self._deviations)
        body, new_etag = upload.complete(request.body)
        bucket.put(request.key, Object(body, new_etag, self._clock(), upload.headers))
        self._uploads.end(request.query["uploadId"])
        names = element("Bucket", request.bucket) + element("Key", request.key)
        shown = element("ETag", new_etag if is_conditional else "")
        return document("CompleteMultipartUploadResult", names + shown)

    def _abort_multipart_upload(self, request: Request) -> Response:
        self._part_of(request)
        self._uploads.end(request.query["uploadId"])
        return Response(204)

    def _part_of(self, request: Request) -> Upload:
        return self._uploads.find(request.query["uploadId"], request.bucket, request.key)

    def _iso_now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self._clock()))


def _unknown(_request: Request) -> Response:
    raise S3Error("NotImplemented")


def _typed(checksums: Mapping[str, str]) -> dict[str, str]:
    return {**checksums, "x-amz-checksum-type": "FULL_OBJECT"} if checksums else {}
