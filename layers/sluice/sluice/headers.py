"""What is stored beside the body of each kind of object."""

from __future__ import annotations

from sluice.store import Headers

_JSON = "application/json"
_ZSTD = "application/zstd"
# Never a Content-Encoding: clients ask for ``.zst`` files by name and decompress them themselves.

PRIVATE_JSON = Headers(_JSON)
PRIVATE_ZSTD = Headers(_ZSTD)

SHARD = Headers(_ZSTD, cache_control="public, max-age=31536000, immutable")
"""CEP 16: shards are named by their content and SHOULD be immutable."""


def index_json(max_age_seconds: int) -> Headers:
    """``repodata.json``."""
    return Headers(_JSON, cache_control=_index(max_age_seconds))


def index_zstd(max_age_seconds: int) -> Headers:
    """``repodata.json.zst`` and ``repodata_shards.msgpack.zst``."""
    return Headers(_ZSTD, cache_control=_index(max_age_seconds))


def _index(max_age_seconds: int) -> str:
    return f"public, max-age={max_age_seconds}"
