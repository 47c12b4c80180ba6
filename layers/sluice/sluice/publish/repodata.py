"""``repodata.json`` (CEP 36): rendered from a tree's leaves, or spliced from its last version.

Splicing is a cache, not a source of truth: both ways give the same bytes.  Records stay raw JSON
throughout, so that half a million of them never become Python objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sluice.catalog.client_view import ClientView
from sluice.catalog.entry import CarriedRecord, Entries
from sluice.conda.names import PACKAGE_SUFFIXES, split_by_archive, split_extension
from sluice.errors import DECODE_ERRORS, Corrupt
from sluice.publish.channel_info import V3Summary
from sluice.publish.fence import Stamp

Records = dict[str, msgspec.Raw]
"""Raw JSON of each record, by filename, both archive formats together."""

_VERSION, _VERSION_WITH_BASE_URL = 1, 2  # CEP 15


@dataclass(slots=True)
class RepodataContents:
    """The content of an index."""

    records: Records = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    """Files that a person has removed."""
    v3: dict[str, Records] = field(default_factory=dict)
    """By bucket and filename without extension (CEP 48); no bucket is empty."""

    @property
    def count(self) -> int:
        """Number of records."""
        return len(self.records) + sum(map(len, self.v3.values()))

    @property
    def v3_summary(self) -> V3Summary:
        """The summary of the records in revision 3."""
        raws = [raw for records in self.v3.values() for raw in records.values()]
        times = (msgspec.json.decode(raw, type=_Dated).indexed_timestamp for raw in raws)
        return V3Summary.from_times(len(raws), times)

    def add(self, view: ClientView) -> None:
        """Add what clients see of one name; keys of records are sorted."""
        for filename, record in view.records.items():
            self.records[filename] = _raw(record)
        for bucket, records in view.v3.items():
            raw = {stem: _raw(record) for stem, record in records.items()}
            self.v3.setdefault(bucket, {}).update(raw)
        self.removed.update(view.removed)

    def drop(self, entries: Entries) -> None:
        """Remove the files of some entries, in any form."""
        for filename, entry in entries.items():
            self.records.pop(filename, None)
            self.removed.discard(filename)
            if isinstance(entry, CarriedRecord):
                stem, bucket = entry.stem(filename), entry.bucket
            elif not filename.endswith(PACKAGE_SUFFIXES):
                continue  # a record that was left out when the index was taken over
            else:
                stem, bucket = split_extension(filename)
            if of_bucket := self.v3.get(bucket):
                of_bucket.pop(stem, None)
                if not of_bucket:
                    del self.v3[bucket]


class _Dated(msgspec.Struct):
    indexed_timestamp: int | None = None


class _PackageMaps(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    packages: Records
    packages_conda: Records
    removed: set[str]
    v3: dict[str, Records] = {}


class _Repodata(
    msgspec.Struct, rename={"packages_conda": "packages.conda"}, kw_only=True, omit_defaults=True
):
    info: msgspec.Raw
    packages: Records
    packages_conda: Records
    removed: list[str]
    repodata_version: int
    sluice: dict[str, int | str]
    v3: dict[str, Records] = {}


def render_repodata(
    contents: RepodataContents, *, info: Mapping[str, Any], subdir: str, stamp: Stamp
) -> bytes:
    """Serialize a whole index; records in any order.

    ``info`` has the fields about the channel except ``subdir``.
    """
    packages, packages_conda = split_by_archive(contents.records)
    return msgspec.json.encode(
        _Repodata(
            info=msgspec.Raw(msgspec.json.encode({**info, "subdir": subdir}, order="sorted")),
            packages=packages,
            packages_conda=packages_conda,
            removed=sorted(contents.removed),
            repodata_version=_VERSION_WITH_BASE_URL if info.get("base_url") else _VERSION,
            sluice=stamp.body,
            v3={
                bucket: dict(sorted(by_stem.items()))
                for bucket, by_stem in sorted(contents.v3.items())
            },
        )
    )


def decode_repodata(body: bytes) -> RepodataContents:
    """Parse an index that ``render_repodata`` made, without decoding its records."""
    try:
        repodata = msgspec.json.decode(body, type=_PackageMaps)
    except DECODE_ERRORS as error:
        raise Corrupt(f"not a repodata.json that sluice wrote: {error}") from error
    records = repodata.packages
    records.update(repodata.packages_conda)
    return RepodataContents(records, repodata.removed, repodata.v3)


def _raw(record: Mapping[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(record, order="sorted"))
