"""A request as the operations see it: taken apart, its body without aws-chunked."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl, unquote, urlsplit
from zlib import crc32

from testkit.http1 import Head
from testkit.operations import operation
from testkit.s3_server.responses import S3Error

_CHECKSUM = "x-amz-checksum-"
_KEPT = (
    *("cache-control", "content-disposition", "content-encoding", "content-language"),
    *("content-type", "expires", "x-amz-storage-class"),
)
_KEPT_PREFIX = "x-amz-meta-"
_SHA256 = re.compile("[0-9a-f]{64}")
_DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {
    "crc32": lambda body: crc32(body).to_bytes(4, "big"),
    "sha256": lambda body: sha256(body).digest(),
}
"""The checksums that are verified, of those that S3 knows."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request with path-style addressing."""

    operation: str
    """``s3:PutObject``, say."""
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    trailers: Mapping[str, str]

    @property
    def kept(self) -> dict[str, str]:
        """The headers that are stored beside a body."""
        kept = {
            name: value
            for name, value in self.headers.items()
            if name in _KEPT or name.startswith(_KEPT_PREFIX)
        }
        coding = kept.get("content-encoding", "").removeprefix("aws-chunked").lstrip(", ")
        if coding:
            kept["content-encoding"] = coding
        else:
            kept.pop("content-encoding", None)
        return kept

    def check_signed_digest(self) -> None:
        """Raise ``S3Error`` where the body is not the one that was signed.

        Signatures are not looked at, but who damages a body on the way cannot make one.
        """
        signed = self.headers.get("x-amz-content-sha256", "")
        if _SHA256.fullmatch(signed) and signed != sha256(self.body).hexdigest():
            raise S3Error("XAmzContentSHA256Mismatch")

    def checksums(self, *, verify: bool) -> dict[str, str]:
        """What the client says of the body; ``verify``: raise ``S3Error`` where it is wrong."""
        checksums = {
            name: value
            for name, value in {**self.headers, **self.trailers}.items()
            if name.startswith(_CHECKSUM)
            and name not in {f"{_CHECKSUM}algorithm", f"{_CHECKSUM}mode", f"{_CHECKSUM}type"}
        }
        for name, digest_of in _DIGESTS.items():
            expected = checksums.get(f"{_CHECKSUM}{name}")
            if verify and expected and expected != b64encode(digest_of(self.body)).decode():
                raise S3Error("BadDigest")
        return checksums


def parse(head: Head, body: bytes) -> Request:
    """Take a request apart."""
    method, target, _ = head.start
    url = urlsplit(target)
    bucket, _, key = url.path.lstrip("/").partition("/")
    trailers: Mapping[str, str] = {}
    if is_aws_chunked(head.headers):
        body, trailers = decode_aws_chunked(body)
    return Request(
        operation=operation(method, target, head.headers),
        bucket=bucket,
        key=unquote(key),
        query=dict(parse_qsl(url.query, keep_blank_values=True)),
        headers=head.headers,
        body=body,
        trailers=trailers,
    )


def is_aws_chunked(headers: Mapping[str, str]) -> bool:
    """Tell whether the body is in the chunks of SigV4, which are not HTTP's."""
    return headers.get("x-amz-content-sha256", "").startswith("STREAMING-") or headers.get(
        "content-encoding", ""
    ).startswith("aws-chunked")


def decode_aws_chunked(body: bytes) -> tuple[bytes, dict[str, str]]:
    """The content and the trailers; signatures are not looked at."""
    pieces, at = [], 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].partition(b";")[0], 16)
        at = end + 2
        if not size:
            break
        pieces.append(body[at : at + size])
        at += size + 2
    trailers = {}
    for line in body[at:].decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            trailers[name.strip().lower()] = value.strip()
    return b"".join(pieces), trailers
