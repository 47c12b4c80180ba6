"""The checksums of a package file, and their sources.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Digests:
    """Checksums of a whole package file, lower-case hex, and their sources."""

    sha256: str
    md5: str | None
    """``None`` if only a read of the whole object would give it; CEP 36 allows that."""
    sha256_from: Literal["s3", "uploader", "read"]
    md5_from: Literal["etag", "uploader", "read"] | None
