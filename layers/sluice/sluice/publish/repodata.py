"""``repodata.json`` (CEP 36): rendered from a tree's leaves, or spliced out of its last version.

Splicing is a cache, not a source of truth: both ways give the same bytes.  Records stay raw JSON
throughout, so that half a million of them never become Python objects.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sluice.catalog.leaf import Entries, by_archive, records_of
from sluice.errors import Corrupt
from sluice.parsing import UNDECODABLE
from sluice.publish.fence import Stamp

Records = dict[str, msgspec.Raw]
"""Raw JSON of each record, by filename, both archive formats together."""


class _Packages(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    packages: Records
    packages_conda: Records


class _Repodata(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    info: dict[str, str]
    packages: Records
    packages_conda: Records
    removed: list[str]
    repodata_version: int
    sluice: dict[str, int | str]


def render(records: Records, *, subdir: str, stamp: Stamp) -> bytes:
    """Serialise a whole index; ``records`` in any order."""
    packages, packages_conda = by_archive(dict(sorted(records.items())))
    return msgspec.json.encode(
        _Repodata(
            info={"subdir": subdir},
            packages=packages,
            packages_conda=packages_conda,
            removed=[],
            repodata_version=1,
            sluice=stamp.body,
        )
    )


def read(body: bytes) -> Records:
    """Read the records of an index that ``render`` made, without decoding them."""
    try:
        repodata = msgspec.json.decode(body, type=_Packages)
    except UNDECODABLE as error:
        raise Corrupt(f"not a repodata.json of ours: {error}") from error
    return {**repodata.packages, **repodata.packages_conda}


def raw_records(entries: Entries) -> Records:
    """The records among the entries of one package name, serialised with sorted keys."""
    return {
        filename: msgspec.Raw(msgspec.json.encode(record, order="sorted"))
        for filename, record in records_of(entries).items()
    }


def splice(records: Records, changes: Iterable[tuple[Entries, Entries]]) -> Records:
    """The records after some names went from their old to their new entries."""
    after = dict(records)
    for old, new in changes:
        for filename in records_of(old):
            after.pop(filename, None)
        after.update(raw_records(new))
    return after
