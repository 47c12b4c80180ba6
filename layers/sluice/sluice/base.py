"""The index that stood in a subdir before sluice: the base of its first public generation.

Never publish less than what is already there (design, section 8): one upload into a channel of
2,000 packages that somebody else has indexed must not publish an index of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from sluice import foreign, zstd
from sluice.catalog.leaf import NOT_EXTRACTED, Entry, Pin, Record
from sluice.concurrency import Gather
from sluice.errors import Corrupt
from sluice.foreign import ForeignIndex
from sluice.identity import Identity
from sluice.keys import (
    PACKAGE_SUFFIXES,
    REPODATA,
    REPODATA_ZST,
    SHARD_INDEX,
    Subdir,
    package_name,
)
from sluice.limits import PROBLEMS_TOLD_MAX
from sluice.package.forms import FORMS, unpublishable
from sluice.parsing import UNDECODABLE
from sluice.publish.fence import Stamp
from sluice.store import ObjectInfo, ObjectStore

_DIGESTS = {"md5": re.compile("[0-9a-f]{32}"), "sha256": re.compile("[0-9a-f]{64}")}
_DASHES_MIN = 2


@dataclass(frozen=True, slots=True)
class Base:
    """Somebody's index, grouped by package name, with the records still as raw JSON."""

    generation: int = 0
    """The highest that any index file there carries; 0 where none is sluice's."""
    names: Mapping[str, Mapping[str, msgspec.Raw | None]] = field(default_factory=dict)
    """By filename: the record, or ``None`` where the index says that it took the file out."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """What the index says for clients about the channel."""
    listing: Mapping[str, Identity] = field(default_factory=dict)
    """The objects of the subdir's folder, by filename."""
    shard_index: bytes | None = None
    """The shard index that is there."""

    @property
    def records(self) -> int:
        """How many of the files that are there the index holds."""
        return sum(raw is not None for files in self.names.values() for raw in files.values())

    def entries(self, name: str, *, at: int) -> dict[str, Entry]:
        """The files of one name as entries of a commit at ``at`` (ms).

        Records are marked to be read again.  One that could not be published is left out, so
        that its file is read like one that no index holds.
        """
        found = {
            filename: self._pin(filename, at) if raw is None else self._record(filename, raw)
            for filename, raw in self.names.get(name, {}).items()
        }
        return {filename: entry for filename, entry in found.items() if entry}

    def _record(self, filename: str, raw: msgspec.Raw) -> Record | None:
        record = _decode(raw)
        if record is None or not _has_parts(filename):
            return None
        identity = self.listing[filename]
        if not FORMS["timestamp"].accepts(record.get("indexed_timestamp")):
            # CEP 47: preserve what is there; an artifact that predates the field MAY be dated by
            # another signal of the server's, here the time of its upload.
            record["indexed_timestamp"] = identity.modified * 1000
        return Record(identity=identity, extractor=NOT_EXTRACTED, record=record)

    def _pin(self, filename: str, at: int) -> Pin:
        # Its file may well be there still (CEP 36), and must not come back by being found.
        return Pin(
            identity=self.listing.get(filename),
            extractor=NOT_EXTRACTED,
            at=at,
            reason="The index that was there before sluice lists it as removed.",
        )


def read_base(channel: ObjectStore, subdir: Subdir, gather: Gather) -> Base:
    """List the subdir and read the index that is there, if any.

    Raises ``Corrupt`` where the index cannot be taken over whole: it is then left as it is.
    """
    infos = {
        info.key.removeprefix(subdir.prefix): info
        for info in channel.list(subdir.prefix, delimiter="/")
    }
    listing = {filename: Identity.of(info) for filename, info in infos.items()}
    key, key_zst, key_shards = map(subdir.public, (REPODATA, REPODATA_ZST, SHARD_INDEX))
    index = channel.get(key) if REPODATA in infos else None
    compressed = channel.head(key_zst) if REPODATA_ZST in infos else None
    shards = channel.get(key_shards) if SHARD_INDEX in infos else None
    found = ForeignIndex()
    if index is not None:
        found = foreign.parse_repodata(index.body, what=key)
    elif compressed is not None and (packed := channel.get(key_zst)):
        found = foreign.parse_repodata(zstd.decompress(packed.body), what=key_zst)
    if not found.records and shards is not None:
        # A channel of shards alone may have an empty repodata.json, for CEP 26 wants one.
        found = _read_shards(channel, subdir, shards.body, gather)
    if found.base_url:
        _insist_on_files(found, listing, subdir)
    return Base(
        generation=_highest_generation(
            [index.info if index else None, compressed, shards.info if shards else None]
        ),
        names=_by_name(found, listing),
        info=found.info,
        listing=listing,
        shard_index=shards.body if shards else None,
    )


def _read_shards(channel: ObjectStore, subdir: Subdir, body: bytes, gather: Gather) -> ForeignIndex:
    index = foreign.parse_shard_index(body, what=subdir.public(SHARD_INDEX))
    shards = gather(partial(_read_shard, channel), map(subdir.public, index.shards))
    return ForeignIndex(
        records={name: raw for shard in shards for name, raw in shard.records.items()},
        removed=frozenset().union(*(shard.removed for shard in shards)),
        info=index.info,
    )


def _read_shard(channel: ObjectStore, key: str) -> ForeignIndex:
    stored = channel.get(key)
    # What is missing was of no use to any client.
    return foreign.parse_shard(stored.body, what=key) if stored else ForeignIndex()


def _insist_on_files(found: ForeignIndex, listing: Mapping[str, Identity], subdir: Subdir) -> None:
    elsewhere = sorted(found.records.keys() - listing.keys())
    if elsewhere:
        raise Corrupt(
            f"the index that is there says by its base_url (CEP 15) that packages lie at "
            f"{found.base_url}, and {len(elsewhere)} of them are not in {subdir.prefix}, so it is "
            f"left as it is: {', '.join(elsewhere[:PROBLEMS_TOLD_MAX])}"
        )


def _by_name(
    found: ForeignIndex, listing: Mapping[str, Identity]
) -> dict[str, dict[str, msgspec.Raw | None]]:
    """Group the records whose files are there, and what was taken out.

    LIST is strongly consistent: a file that it does not show is gone, and the record of its
    removal may already have been consumed by a merge before this one.
    """
    names: dict[str, dict[str, msgspec.Raw | None]] = {}
    for filename in sorted(found.removed):
        if name := package_name(filename):  # nothing else was ever a package
            names.setdefault(name, {})[filename] = None
    for filename, raw in found.records.items():
        if filename in listing:
            names.setdefault(package_name(filename), {})[filename] = raw
    return names


def _has_parts(filename: str) -> bool:
    """Tell whether a filename can be taken apart: rattler reads no index with one that cannot."""
    return filename.endswith(PACKAGE_SUFFIXES) and filename.count("-") >= _DASHES_MIN


def _decode(raw: msgspec.Raw) -> dict[str, Any] | None:
    """Read a record, with its digests in lower case; ``None`` where it could not be published."""
    try:
        record = msgspec.json.decode(raw, type=dict[str, Any])
    except UNDECODABLE:
        return None
    for key, form in _DIGESTS.items():
        told = record.get(key)
        if told is None:
            continue
        if not isinstance(told, str) or not form.fullmatch(told.lower()):
            return None
        record[key] = told.lower()
    return None if unpublishable(record) else record


def _highest_generation(infos: Iterable[ObjectInfo | None]) -> int:
    stamps = (Stamp.parse(info.metadata) for info in infos if info)
    return max((stamp.generation for stamp in stamps if stamp), default=0)
