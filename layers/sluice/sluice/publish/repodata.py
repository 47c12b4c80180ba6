"""``repodata.json`` (CEP 36): rendered from a tree's leaves, or spliced out of its last version.

Splicing is a cache, not a source of truth: both ways give the same bytes.  Records stay raw JSON
throughout, so that half a million of them never become Python objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sluice.catalog.leaf import Entries, by_archive, pinned, records_of
from sluice.errors import Corrupt
from sluice.parsing import UNDECODABLE
from sluice.publish.fence import Stamp

Records = dict[str, msgspec.Raw]
"""Raw JSON of each record, by filename, both archive formats together."""

_VERSION, _VERSION_WITH_BASE_URL = 1, 2  # CEP 15


@dataclass(frozen=True, slots=True)
class Contents:
    """What an index says of files."""

    records: Records
    removed: set[str]
    """Files that are kept out on purpose."""


class _Files(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    packages: Records
    packages_conda: Records
    removed: set[str]


class _Repodata(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    info: msgspec.Raw
    packages: Records
    packages_conda: Records
    removed: list[str]
    repodata_version: int
    sluice: dict[str, int | str]


def render(contents: Contents, *, info: Mapping[str, Any], subdir: str, stamp: Stamp) -> bytes:
    """Serialise a whole index; records in any order.

    ``info`` is what there is to say about the channel beside ``subdir``.
    """
    packages, packages_conda = by_archive(dict(sorted(contents.records.items())))
    return msgspec.json.encode(
        _Repodata(
            info=msgspec.Raw(msgspec.json.encode({**info, "subdir": subdir}, order="sorted")),
            packages=packages,
            packages_conda=packages_conda,
            removed=sorted(contents.removed),
            repodata_version=_VERSION_WITH_BASE_URL if info.get("base_url") else _VERSION,
            sluice=stamp.body,
        )
    )


def read(body: bytes) -> Contents:
    """Read an index that ``render`` made, without decoding its records."""
    try:
        repodata = msgspec.json.decode(body, type=_Files)
    except UNDECODABLE as error:
        raise Corrupt(f"not a repodata.json of ours: {error}") from error
    return Contents({**repodata.packages, **repodata.packages_conda}, repodata.removed)


def contents_of(leaves: Iterable[Entries]) -> Contents:
    """What the entries of some package names come to, records with sorted keys."""
    contents = Contents({}, set())
    for entries in leaves:
        _add(contents, entries)
    return contents


def splice(contents: Contents, changes: Iterable[tuple[Entries, Entries]]) -> Contents:
    """The contents after some names went from their old to their new entries."""
    after = Contents(dict(contents.records), set(contents.removed))
    for old, new in changes:
        for filename in old:
            after.records.pop(filename, None)
            after.removed.discard(filename)
        _add(after, new)
    return after


def _add(contents: Contents, entries: Entries) -> None:
    for filename, record in records_of(entries).items():
        contents.records[filename] = msgspec.Raw(msgspec.json.encode(record, order="sorted"))
    contents.removed.update(pinned(entries))
