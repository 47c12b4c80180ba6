"""The checksums of a package file, and how each was obtained.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Digests:
    """Checksums of a whole package file, lower-case hex, and how each was obtained."""

    sha256: str
    md5: str | None
    """``None`` where only reading the whole object would tell; CEP 36 allows that."""
    sha256_from: Literal["s3", "uploader", "read"]
    md5_from: Literal["etag", "uploader", "read"] | None
