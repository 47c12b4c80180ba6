"""What one package name in one subdir adds to ``channeldata.json`` (CEP 38).  Pure.

Of each version the build with the newest timestamp speaks, as in conda-index; of a package in
both archive formats the ``.conda``.  Records whose version nobody can read say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sluice.catalog.client_view import Rules, view
from sluice.catalog.entry import Entries, Record
from sluice.conda.build_order import age_of
from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.conda.timestamps import in_seconds
from sluice.conda.version import Version

FIELDS = (
    "description",
    "dev_url",
    "doc_source_url",
    "doc_url",
    "home",
    "icon_hash",
    "icon_url",
    "identifiers",
    "keywords",
    "license",
    "recipe_origin",
    "source_git_url",
    "source_url",
    "summary",
    "tags",
)
"""Those of the newest version that has them."""

FLAGS = (
    "activate.d",
    "binary_prefix",
    "deactivate.d",
    "post_link",
    "pre_link",
    "pre_unlink",
    "text_prefix",
)
"""True if they are of any version."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one version says."""

    version: str
    timestamp: int
    """Seconds since the epoch; 0 where the package does not say."""
    fields: dict[str, Any]

    @property
    def age(self) -> tuple[Version, int]:
        """Sorts the newest last."""
        return Version(self.version), self.timestamp


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """The run exports of one version."""

    timestamp: int
    """Seconds since the epoch."""
    run_exports: Any


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """All that one name in one subdir adds."""

    told: list[Told]
    """The newest version first; behind it only those that say what no newer one does."""
    flags: list[str]
    """Those that are true."""
    run_exports: dict[str, Exported]
    """By version, where there are any."""
    timestamp: int
    """The newest of any build, seconds since the epoch."""


def contribution(entries: Entries, rules: Rules) -> Contribution | None:
    """Sum up the entries of one name; ``None`` where clients see no package."""
    shown = view(entries, rules)
    builds = [one for one in _builds(shown.records, shown.v3) if age_of(one[1])]
    by_version: dict[str, tuple[int, str, Mapping[str, Any]]] = {}
    # What comes later stays behind what is as new: .conda first, then by name.
    for filename, record in sorted(builds, key=_conda_first):
        timestamp = in_seconds(record.get("timestamp"))
        known = by_version.get(record["version"])
        if known is None or timestamp > known[0]:
            by_version[record["version"]] = timestamp, filename, record
    if not by_version:
        return None
    told: list[Told] = []
    flags: set[str] = set()
    run_exports: dict[str, Exported] = {}
    for version, (timestamp, filename, record) in by_version.items():
        entry = entries[filename]
        about = entry.channeldata if isinstance(entry, Record) else {}
        both = {**about, **record}
        fields = {name: both[name] for name in FIELDS if both.get(name)}
        told.append(Told(version=version, timestamp=timestamp, fields=fields))
        flags |= {flag for flag in FLAGS if about.get(flag)}
        if exports := shown.run_exports.get(filename):
            run_exports[version] = Exported(timestamp=timestamp, run_exports=exports)
    return Contribution(
        told=newest_told(told),
        flags=sorted(flags),
        run_exports=run_exports,
        timestamp=max(in_seconds(record.get("timestamp")) for _, record in builds),
    )


def newest_told(told: list[Told]) -> list[Told]:
    """The newest, and of the older what it leaves unsaid."""
    kept: list[Told] = []
    said: set[str] = set()
    for one in sorted(told, key=lambda told: told.age, reverse=True):
        new = {name: value for name, value in one.fields.items() if name not in said}
        if new or not kept:
            kept.append(msgspec.structs.replace(one, fields=new))
            said |= new.keys()
    return kept


def _builds(
    records: Mapping[str, Mapping[str, Any]], v3: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from records.items()
    for suffix in PACKAGE_SUFFIXES:
        for stem, record in v3.get(suffix[1:], {}).items():
            yield stem + suffix, record


def _conda_first(build: tuple[str, Mapping[str, Any]]) -> tuple[bool, str]:
    return not build[0].endswith(PACKAGE_SUFFIXES[0]), build[0]
