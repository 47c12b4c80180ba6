"""``repodata_shards.msgpack.zst``, the index of the shards (CEP 16)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from sluice import zstd
from sluice.catalog.codec import pack_plain
from sluice.catalog.tree import Tree
from sluice.conda.timestamps import EpochMs
from sluice.layout import SHARDS_FOLDER
from sluice.publish.fence import Stamp


def render_shard_index(tree: Tree, *, info: Mapping[str, Any], subdir: str, stamp: Stamp) -> bytes:
    """Serialize.  ``created_at`` is the commit's time: the same head gives the same bytes.

    ``base_url`` is empty unless it is set, which resolves to the folder of this file.  py-rattler
    fails if the key is missing.
    """
    all_info = {
        "base_url": "",
        **info,
        "created_at": _rfc3339(tree.at),
        "shards_base_url": f"./{SHARDS_FOLDER}",
        "sluice": stamp.body,
        "subdir": subdir,
    }
    content = {
        "info": msgspec.to_builtins(all_info, order="sorted"),
        "shards": {name: node.shard for name, node in sorted(tree.names.items()) if node.shard},
        "version": 1,
    }
    return zstd.compress(pack_plain(content))


def _rfc3339(at_ms: EpochMs) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
