"""The index that stood in a subdir before sluice: the base of its first public generation.

Never publish less than what is already there (design, section 8): one upload into a channel of
2,000 packages that somebody else has indexed must not publish an index of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from sluice import zstd
from sluice.catalog.codec import pack_plain
from sluice.catalog.leaf import NOT_EXTRACTED, Record
from sluice.errors import Corrupt
from sluice.identity import Identity
from sluice.keys import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir, package_name
from sluice.parsing import UNDECODABLE
from sluice.publish.fence import Stamp
from sluice.store import ObjectInfo, ObjectStore


@dataclass(frozen=True, slots=True)
class Base:
    """Somebody's index, grouped by package name, with the records still as raw JSON."""

    generation: int = 0
    """The highest that any index file there carries; 0 where none is sluice's."""
    names: Mapping[str, Mapping[str, msgspec.Raw]] = field(default_factory=dict)
    listing: Mapping[str, Identity] = field(default_factory=dict)
    """The objects of the subdir's folder, by filename."""
    shard_index: bytes | None = None
    """The shard index that is there."""

    @property
    def records(self) -> int:
        """How many files the index holds."""
        return sum(map(len, self.names.values()))

    def entries(self, name: str) -> dict[str, Record]:
        """The files of one name as entries that reconcile will want to read again."""
        return {
            filename: self._entry(filename, raw)
            for filename, raw in self.names.get(name, {}).items()
        }

    def _entry(self, filename: str, raw: msgspec.Raw) -> Record:
        try:
            known = msgspec.json.decode(raw, type=_Known)
            record = msgspec.json.decode(raw, type=dict)
            pack_plain(record)  # not every number and depth that JSON can hold fits in a shard
        except (*UNDECODABLE, OverflowError, ValueError) as error:
            raise Corrupt(f"the record of {filename} in the index there: {error}") from error
        identity = self.listing[filename]
        if known.indexed_timestamp is None:
            # CEP 47: preserve what is there; an artifact that predates the field MAY be dated by
            # another signal of the server's, here the time of its upload.
            record["indexed_timestamp"] = identity.modified * 1000
        return Record(identity=identity, extractor=NOT_EXTRACTED, record=record)


class _Known(msgspec.Struct):
    """What sluice itself takes from a record, whoever wrote it."""

    indexed_timestamp: int | None = None
    md5: Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{2})*$")] | None = None
    sha256: Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{2})*$")] | None = None


class _Info(msgspec.Struct):
    base_url: str | None = None


class _Repodata(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    info: _Info = msgspec.field(default_factory=_Info)
    packages: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    packages_conda: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    v3: dict[str, dict[str, msgspec.Raw]] = msgspec.field(default_factory=dict)


def read_base(channel: ObjectStore, subdir: Subdir) -> Base:
    """List the subdir and read the index that is there, if any.

    Raises ``Corrupt`` where the index cannot be taken over whole: it is then left as it is.
    """
    infos = {
        info.key.removeprefix(subdir.prefix): info
        for info in channel.list(subdir.prefix, delimiter="/")
    }
    listing = {filename: Identity.of(info) for filename, info in infos.items()}
    key, key_zst = subdir.public(REPODATA), subdir.public(REPODATA_ZST)
    index = channel.get(key) if REPODATA in infos else None
    compressed = channel.head(key_zst) if REPODATA_ZST in infos else None
    shards = channel.get(subdir.public(SHARD_INDEX)) if SHARD_INDEX in infos else None
    records: dict[str, msgspec.Raw] = {}
    if index is not None:
        records = _decode(index.body, what=key)
    elif compressed is not None and (packed := channel.get(key_zst)):
        records = _decode(zstd.decompress(packed.body), what=key_zst)
    elif shards is not None and Stamp.parse(shards.info.metadata) is None:
        raise Corrupt(f"an index of shards alone cannot be taken over: {shards.info.key}")
    return Base(
        generation=_highest_generation(
            [index.info if index else None, compressed, shards.info if shards else None]
        ),
        names=_by_name(records, listing),
        listing=listing,
        shard_index=shards.body if shards else None,
    )


def _decode(body: bytes, *, what: str) -> dict[str, msgspec.Raw]:
    if not body:  # CEP 36: an empty file is an empty index
        return {}
    try:
        repodata = msgspec.json.decode(body, type=_Repodata)
    except UNDECODABLE as error:
        raise Corrupt(f"the index that is there cannot be read, {what}: {error}") from error
    if any(repodata.v3.values()):
        raise Corrupt(f"the index that is there has v3 records (CEP 48) to be lost: {what}")
    if repodata.info.base_url:
        raise Corrupt(f"the index that is there has a base_url (CEP 15) to be lost: {what}")
    return {**repodata.packages, **repodata.packages_conda}


def _by_name(
    records: Mapping[str, msgspec.Raw], listing: Mapping[str, Identity]
) -> dict[str, dict[str, msgspec.Raw]]:
    """Group the records whose files are there.

    LIST is strongly consistent: a file that it does not show is gone, and the record of its
    removal may already have been consumed by a merge before this one.
    """
    names: dict[str, dict[str, msgspec.Raw]] = {}
    for filename, raw in records.items():
        if filename in listing:
            names.setdefault(package_name(filename), {})[filename] = raw
    return names


def _highest_generation(infos: Iterable[ObjectInfo | None]) -> int:
    stamps = (Stamp.parse(info.metadata) for info in infos if info)
    return max((stamp.generation for stamp in stamps if stamp), default=0)
