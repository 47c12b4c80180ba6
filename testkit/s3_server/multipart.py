"""Uploads in parts."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5
from zlib import crc32

from testkit.s3_server.objects import etag
from testkit.s3_server.responses import S3Error

PART_BYTES_MIN = 5 * 1024 * 1024
"""Of every part but the last."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that was sent or copied; its digest is computed once, as on S3."""

    body: bytes
    etag: str
    """Quotes included."""


@dataclass(slots=True)
class Upload:
    """One that was begun."""

    bucket: str
    key: str
    headers: Mapping[str, str]
    checksum_algorithm: str | None = None
    """Of the checksums that its parts have; ``None``: they need none."""
    parts: dict[int, Part] = field(default_factory=dict)

    def put(self, number: int, body: bytes) -> str:
        """Keep a part; returns its ETag."""
        self.parts[number] = part = Part(body, etag(body))
        return part.etag

    def complete(self, order: bytes) -> tuple[bytes, str]:
        """Put together what the client lists; body and ETag.  Raises ``S3Error``."""
        listed = _listed(order)
        bodies = []
        digests = md5(usedforsecurity=False)
        for number, listed_etag in listed:
            part = self.parts.get(number)
            if part is None or part.etag.strip('"') != listed_etag.strip('"'):
                raise S3Error("InvalidPart")
            bodies.append(part.body)
            digests.update(bytes.fromhex(part.etag.strip('"')))
        if any(len(body) < PART_BYTES_MIN for body in bodies[:-1]):
            raise S3Error("EntityTooSmall")
        return b"".join(bodies), f'"{digests.hexdigest()}-{len(bodies)}"'


def crc32_of(body: bytes) -> str:
    """The checksum of a part, as S3 writes it."""
    return b64encode(crc32(body).to_bytes(4, "big")).decode()


class Uploads:
    """Those under way, by id."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._uploads: dict[str, Upload] = {}

    def begin(self, upload: Upload) -> str:
        """Begin one; returns its id."""
        name = f"upload-{next(self._numbers)}"
        self._uploads[name] = upload
        return name

    def find(self, name: str, bucket: str, key: str) -> Upload:
        """Find one; raises ``S3Error``."""
        upload = self._uploads.get(name)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise S3Error("NoSuchUpload")
        return upload

    def end(self, name: str) -> None:
        """Forget one with its parts."""
        del self._uploads[name]


def _listed(order: bytes) -> list[tuple[int, str]]:
    """Number and ETag of each part, as ``CompleteMultipartUpload`` lists them."""
    try:
        root = ET.fromstring(order)  # noqa: S314 - from a client that was started here
    except ET.ParseError as error:
        raise S3Error("MalformedXML") from error
    listed = [
        (int(part.findtext("{*}PartNumber", "0")), part.findtext("{*}ETag", ""))
        for part in root.iterfind("{*}Part")
    ]
    if not listed or [number for number, _ in listed] != sorted({number for number, _ in listed}):
        raise S3Error("MalformedXML")
    return listed
