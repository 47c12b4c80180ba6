"""What is stored beside the body of each kind of object."""

from __future__ import annotations

from sluice.storage.object_store import Headers

_JSON = "application/json"
_ZSTD = "application/zstd"
# Never a Content-Encoding: clients ask for ``.zst`` files by name and decompress them themselves.

_KINDS = {
    ".json": _JSON,
    ".zst": _ZSTD,
    ".bz2": "application/x-bzip2",
    ".xml": "application/rss+xml",
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
}

PRIVATE_JSON = Headers(_JSON)
PRIVATE_ZSTD = Headers(_ZSTD)

SHARD = Headers(_ZSTD, cache_control="public, max-age=31536000, immutable")
"""CEP 16: shards are named by their content and SHOULD be immutable."""


def of_index(file: str, max_age_seconds: int) -> Headers:
    """Those of an index file, told by its name."""
    kind = next(kind for suffix, kind in _KINDS.items() if file.endswith(suffix))
    return Headers(kind, cache_control=f"public, max-age={max_age_seconds}")
