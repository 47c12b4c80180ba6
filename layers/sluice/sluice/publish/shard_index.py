"""``repodata_shards.msgpack.zst``, the index of the shards (CEP 16)."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from sluice import zstd
from sluice.catalog.codec import pack_plain
from sluice.catalog.tree import Tree
from sluice.keys import SHARDS_FOLDER
from sluice.publish.fence import Stamp


def render(tree: Tree, *, subdir: str, stamp: Stamp) -> bytes:
    """Serialise.  ``created_at`` is the commit's time: the same head gives the same bytes.

    ``base_url``, unless a channel was taken over that has one, is empty, which resolves to the
    folder of this file; py-rattler fails where the key is missing.
    """
    info = {
        "base_url": "",
        **(tree.info or {}),
        "created_at": _rfc3339(tree.at),
        "shards_base_url": f"./{SHARDS_FOLDER}",
        "sluice": stamp.body,
        "subdir": subdir,
    }
    content = {
        "info": msgspec.to_builtins(info, order="sorted"),
        "shards": {name: node.shard for name, node in sorted(tree.names.items()) if node.shard},
        "version": 1,
    }
    return zstd.compress(pack_plain(content))


def _rfc3339(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
