"""The headers that are stored with each kind of object."""

from __future__ import annotations

from sluice.storage.object_store import ObjectHeaders

_JSON = "application/json"
_ZSTD = "application/zstd"
# Never a Content-Encoding: clients ask for ``.zst`` files by name and decompress them themselves.

_CONTENT_TYPES = {
    ".json": _JSON,
    ".zst": _ZSTD,
    ".bz2": "application/x-bzip2",
    ".xml": "application/rss+xml",
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
}

PRIVATE_JSON_HEADERS = ObjectHeaders(_JSON)
PRIVATE_ZSTD_HEADERS = ObjectHeaders(_ZSTD)

SHARD_HEADERS = ObjectHeaders(_ZSTD, cache_control="public, max-age=31536000, immutable")
"""CEP 16: shards are named by their content and SHOULD be immutable."""


def index_file_headers(file: str, max_age_seconds: int) -> ObjectHeaders:
    """The headers of an index file, by its name."""
    content_type = next(
        content_type for suffix, content_type in _CONTENT_TYPES.items() if file.endswith(suffix)
    )
    return ObjectHeaders(content_type, cache_control=f"public, max-age={max_age_seconds}")
