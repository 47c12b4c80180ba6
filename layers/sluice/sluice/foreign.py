"""What other tools' indexes hold: ``repodata.json`` (CEP 36) and shards (CEP 16).  Pure.

Records stay raw JSON; whether a single one can be published is for ``base``.  ``Corrupt`` is for
an index that could only be taken over in part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgpack
import msgspec

from sluice import zstd
from sluice.errors import Corrupt
from sluice.package.forms import unpublishable
from sluice.parsing import UNDECODABLE

_OF_THE_FILE = frozenset(
    {"created_at", "repodata_version", "shards_base_url", "sluice", "subdir"}
)  # in ``info``: about one file, which every tool says of its own
_SHARD_SUFFIX = ".msgpack.zst"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ForeignIndex:
    """What stands in an index, or in one shard of it."""

    records: Mapping[str, msgspec.Raw] = field(default_factory=dict)
    """By filename, both archive formats together."""
    removed: frozenset[str] = frozenset()
    """Filenames that were once in the index and were taken out of it."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """What the channel's operator says in ``info``, for clients."""

    @property
    def base_url(self) -> str | None:
        """Where the packages lie (CEP 15); ``None``: beside the index."""
        return self.info.get("base_url")


@dataclass(frozen=True, slots=True)
class ForeignShards:
    """A shard index."""

    info: Mapping[str, Any]
    shards: tuple[str, ...]
    """Path of each shard within the subdir's folder."""


class _Repodata(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    info: dict[str, Any] = msgspec.field(default_factory=dict)
    packages: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    packages_conda: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    removed: list[Any] = msgspec.field(default_factory=list)
    v3: dict[str, Any] = msgspec.field(default_factory=dict)


class _Shard(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    packages: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    packages_conda: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    removed: list[Any] = msgspec.field(default_factory=list)
    v3: dict[str, Any] = msgspec.field(default_factory=dict)


class _ShardIndex(msgspec.Struct):
    info: dict[str, Any]
    shards: dict[str, bytes]


def parse_repodata(body: bytes, *, what: str) -> ForeignIndex:
    """Read a ``repodata.json``; raises ``Corrupt``, naming ``what``."""
    if not body:  # CEP 36: an empty file is an empty index
        return ForeignIndex()
    try:
        repodata = msgspec.json.decode(body, type=_Repodata)
    except UNDECODABLE as error:
        raise Corrupt(f"the index that is there cannot be read, {what}: {error}") from error
    _refuse_v3(repodata.v3, what)
    return ForeignIndex(
        records={**repodata.packages, **repodata.packages_conda},
        removed=_filenames(repodata.removed),
        info=_carried(repodata.info, what),
    )


def parse_shard_index(body: bytes, *, what: str) -> ForeignShards:
    """Read a ``repodata_shards.msgpack.zst``; raises ``Corrupt``, naming ``what``."""
    index = _unpack(body, _ShardIndex, what)
    told = index.info.get("shards_base_url", "")
    folder = told.removeprefix("./").removesuffix("/") if isinstance(told, str) else ":"
    if folder.startswith((".", "/")) or ":" in folder:
        raise Corrupt(f"the shards of the index that is there lie elsewhere ({told}): {what}")
    return ForeignShards(
        info=_carried(index.info, what),
        shards=tuple(
            f"{folder}/{digest.hex()}{_SHARD_SUFFIX}" if folder else digest.hex() + _SHARD_SUFFIX
            for _, digest in sorted(index.shards.items())
        ),
    )


def parse_shard(body: bytes, *, what: str) -> ForeignIndex:
    """Read one shard; raises ``Corrupt``, naming ``what``."""
    shard = _unpack(body, _Shard, what)
    _refuse_v3(shard.v3, what)
    records = {**shard.packages, **shard.packages_conda}
    try:
        return ForeignIndex(
            records={
                filename: msgspec.Raw(msgspec.json.encode(_with_hex_digests(record)))
                for filename, record in records.items()
            },
            removed=_filenames(shard.removed),
        )
    except (*UNDECODABLE, TypeError) as error:  # msgpack can hold what JSON cannot
        raise Corrupt(f"a shard that is there cannot be read, {what}: {error}") from error


def _unpack(body: bytes, expected: type[T], what: str) -> T:
    try:
        return msgspec.convert(msgpack.unpackb(zstd.decompress(body)), expected)
    except (*UNDECODABLE, Corrupt, ValueError, msgpack.UnpackException) as error:
        raise Corrupt(f"the index that is there cannot be read, {what}: {error}") from error


def _refuse_v3(v3: Mapping[str, Any], what: str) -> None:
    if any(v3.values()):
        raise Corrupt(
            "the index that is there has v3 records (CEP 48), which this version of sluice cannot "
            f"carry over, so it is left as it is: {what}"
        )


def _filenames(removed: list[Any]) -> frozenset[str]:
    return frozenset(filename for filename in removed if isinstance(filename, str))


def _carried(info: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Keep of ``info`` what stays true whatever is published, and can be published."""
    kept = {
        key: value
        for key, value in info.items()
        if key not in _OF_THE_FILE and not unpublishable({key: value})
    }
    base_url = kept.pop("base_url", None)
    if not isinstance(base_url, str | None):
        raise Corrupt(f"the base_url of the index that is there is no string: {what}")
    if base_url:
        kept["base_url"] = base_url
    revisions = kept.pop("repodata_revisions", None)
    if isinstance(revisions, dict):
        kept["repodata_revisions"] = {
            revision: _without_counts(about)
            for revision, about in revisions.items()
            if isinstance(about, dict)
        }
    return kept


def _without_counts(about: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what an operator says of a revision (CEP 48); its counts are those of one file."""
    return {key: value for key, value in about.items() if key == "message"}


def _with_hex_digests(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value.hex() if key in ("md5", "sha256") and isinstance(value, bytes) else value
        for key, value in record.items()
    }
