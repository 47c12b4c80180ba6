"""The stored and published files as somebody reads them who knows the formats and nothing else.

Equal bytes are parsed once: what is cached here must not be changed by who gets it.
"""

from __future__ import annotations

import bz2
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import msgpack
import zstandard

from sluice.layout import Subdir

Record = Mapping[str, Any]
_remember = lru_cache(4096)
_PLACE_IN_NODE = 11


@dataclass(frozen=True, slots=True)
class Index:
    """What one index file says."""

    generation: int
    """0: another tool wrote it."""
    records: Mapping[str, Record]
    """Empty for a shard index, whose records are in its shards."""
    shards: Mapping[str, str]
    """Hex digest by package name; empty for ``repodata.json``."""


@_remember
def repodata(body: bytes) -> Index:
    """Read ``repodata.json``."""
    content = json.loads(body)
    generation = content.get("sluice", {}).get("generation", 0)
    return Index(generation, {**content["packages"], **content["packages.conda"]}, {})


@_remember
def repodata_zst(body: bytes) -> Index:
    """Read ``repodata.json.zst``."""
    return repodata(_unzstd(body))


@_remember
def shard_index(body: bytes) -> Index:
    """Read ``repodata_shards.msgpack.zst``."""
    content = msgpack.unpackb(_unzstd(body))
    shards = {name: digest.hex() for name, digest in content["shards"].items()}
    return Index(content["info"].get("sluice", {}).get("generation", 0), {}, shards)


@_remember
def shard(body: bytes, digest: str) -> Mapping[str, Record]:
    """Read a shard, which must be what its name says."""
    assert sha256(body).hexdigest() == digest, "a shard is not what its name says"
    content = msgpack.unpackb(_unzstd(body))
    return {
        filename: {
            key: value.hex() if isinstance(value, bytes) else value
            for key, value in record.items()
            if key != "run_exports"  # CEP 21: in shards alone
        }
        for filename, record in {**content["packages"], **content["packages.conda"]}.items()
    }


@_remember
def optional(body: bytes, file: str) -> Index:
    """Read any other index file: the records of ``repodata``, or what stands in their place."""
    if file.endswith(".zst"):
        body = _unzstd(body)
    return repodata(bz2.decompress(body) if file.endswith(".bz2") else body)


class LeafPlace(NamedTuple):
    """Where a leaf is."""

    digest: str
    """Hex SHA-256."""
    pack: str | None
    """Hex SHA-256 of the pack that it is in; ``None``: it is an object of its own."""
    offset: int = 0
    length: int = 0

    def key(self, subdir: Subdir) -> str:
        """The key of the object that it is in."""
        return subdir.pack_key(self.pack) if self.pack else subdir.leaf_key(self.digest)


@dataclass(frozen=True, slots=True)
class Tree:
    """What a tree says."""

    generation: int
    public: bool
    names: Mapping[str, tuple[LeafPlace, str | None]]
    """Where the leaf of each name is, and the hex digest of its shard."""
    patch: str | None
    """The hex digest of what the patch in force says."""


@_remember
def tree(body: bytes) -> Tree:
    """Read a tree."""
    content = msgpack.unpackb(_unzstd(body))
    names = {
        name: (_leaf_place(node), node[1].hex() if node[1] else None)
        for name, node in content["names"].items()
    }
    in_packs = any(place.pack for place, _ in names.values())
    assert content["format"] == (2 if in_packs else 1), "a tree has the wrong format"
    patch = (content.get("inputs") or {}).get("patch") or {}
    return Tree(content["generation"], content["public"], names, patch.get("instructions"))


def _leaf_place(node: Sequence[Any]) -> LeafPlace:
    digest: str = node[0].hex()
    if len(node) <= _PLACE_IN_NODE:
        return LeafPlace(digest, None)
    pack, offset, length = node[_PLACE_IN_NODE]
    return LeafPlace(digest, pack.hex(), offset, length)


@_remember
def leaf(body: bytes, place: LeafPlace) -> Mapping[str, Mapping[str, Any]]:
    """Read a leaf out of the object that it is in: its entries by filename."""
    if place.pack:
        assert sha256(body).hexdigest() == place.pack, "a pack is not what its name says"
        body = body[place.offset : place.offset + place.length]
    assert sha256(body).hexdigest() == place.digest, "a leaf is not what its name says"
    entries: Mapping[str, Mapping[str, Any]] = msgpack.unpackb(_unzstd(body))["entries"]
    return entries


@_remember
def document(body: bytes) -> Any:
    """Read JSON."""
    return json.loads(body)


def _unzstd(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)
