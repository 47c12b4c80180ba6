"""The sources of a package's checksums: S3, the uploader, or a read of every byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import md5, sha256
from typing import Literal

from sluice.conda.digests import Digests
from sluice.storage.object_store import ObjectInfo

SHA256_METADATA = "package-sha256"
MD5_METADATA = "package-md5"
"""Key of the user metadata that ``rattler-build upload s3`` writes: hex, computed by the
uploader."""

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_MD5_HEX = re.compile(r"[0-9a-f]{32}")
# With these, the ETag of a single-part object is the MD5 of its content; with KMS it is not (S3 API
# reference, "Object").
_ETAG_IS_MD5_UNDER = (None, "AES256")


def known_digests(info: ObjectInfo, *, trust_uploader: bool) -> Digests | None:
    """The digests that are known without a read of the object; ``None`` without a SHA-256.

    A digest that S3 computed is reliable, and takes precedence over the uploader's.
    """
    claims = info.metadata if trust_uploader else {}
    claimed_sha256 = _hex(_SHA256_HEX, claims.get(SHA256_METADATA))
    claimed_md5 = _hex(_MD5_HEX, claims.get(MD5_METADATA))
    etag_md5 = _md5_of_etag(info)
    md5_hex = etag_md5 or claimed_md5
    md5_from: Literal["etag", "uploader"] | None = None
    if md5_hex is not None:
        md5_from = "etag" if etag_md5 else "uploader"
    if info.sha256 is not None:
        return Digests(info.sha256, md5_hex, "s3", md5_from)
    if claimed_sha256 is not None:
        return Digests(claimed_sha256, md5_hex, "uploader", md5_from)
    return None


class StreamHasher:
    """Hashes a stream with SHA-256 and MD5."""

    def __init__(self) -> None:
        self._sha256 = sha256()
        self._md5 = md5(usedforsecurity=False)

    def pass_through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield ``chunks`` and hash each."""
        for chunk in chunks:
            self._sha256.update(chunk)
            self._md5.update(chunk)
            yield chunk

    def digests(self) -> Digests:
        """The digests of everything so far."""
        return Digests(self._sha256.hexdigest(), self._md5.hexdigest(), "read", "read")


def _hex(pattern: re.Pattern[str], claim: str | None) -> str | None:
    text = (claim or "").lower()
    return text if pattern.fullmatch(text) else None


def _md5_of_etag(info: ObjectInfo) -> str | None:
    if info.encryption not in _ETAG_IS_MD5_UNDER:
        return None
    return _hex(_MD5_HEX, info.etag.strip('"'))  # a multipart ETag ends in "-<parts>"
