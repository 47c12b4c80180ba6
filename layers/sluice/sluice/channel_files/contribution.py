"""The contribution of one package name in one subdir to ``channeldata.json`` (CEP 38).  Pure.

Each version is represented by its build with the newest timestamp, as in conda-index, and a package
in both archive formats by the ``.conda``.  Records with an unreadable version contribute nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sluice.catalog.client_view import RenderRules, render_view
from sluice.catalog.entry import Entries, Record
from sluice.conda.build_order import build_order_key
from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.conda.timestamps import timestamp_seconds
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
    "source_url",
    "summary",
    "tags",
)
"""Fields that come from the newest version that has them.

All are fields of ``about.json``, but for ``icon_hash``, which is in ``index.json``.  conda-index
also has ``source_git_url``, and takes ``source_url`` from recipes, which are not read here."""

FLAGS = (
    "activate.d",
    "binary_prefix",
    "deactivate.d",
    "post_link",
    "pre_link",
    "pre_unlink",
    "text_prefix",
)
"""Flags that are true if any version has them."""


class VersionFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of one version."""

    version: str
    timestamp: int
    """Seconds since the epoch; 0 if the package has no timestamp."""
    fields: dict[str, Any]

    @property
    def sort_key(self) -> tuple[Version, int]:
        """A sort key by which the newest sorts last."""
        return Version(self.version), self.timestamp


class VersionRunExports(msgspec.Struct, frozen=True, kw_only=True):
    """The run exports of one version."""

    timestamp: int
    """Seconds since the epoch."""
    run_exports: Any


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """The contribution of one name in one subdir."""

    versions: list[VersionFields] = msgspec.field(name="told")
    """The newest version first, then only versions with fields that no newer one has."""
    flags: list[str]
    """Names of the true flags."""
    run_exports: dict[str, VersionRunExports]
    """By version, if there are any."""
    timestamp: int
    """The newest timestamp of any build, seconds since the epoch."""


def make_contribution(entries: Entries, rules: RenderRules) -> Contribution | None:
    """Combine the entries of one name; ``None`` if clients see no package."""
    view = render_view(entries, rules)
    builds = [build for build in _builds(view.records, view.v3) if build_order_key(build[1])]
    by_version: dict[str, tuple[int, str, Mapping[str, Any]]] = {}
    # Later ones stay behind equally new ones: .conda first, then by name.
    for filename, record in sorted(builds, key=_conda_first):
        timestamp = timestamp_seconds(record.get("timestamp"))
        known = by_version.get(record["version"])
        if known is None or timestamp > known[0]:
            by_version[record["version"]] = timestamp, filename, record
    if not by_version:
        return None
    versions: list[VersionFields] = []
    flags: set[str] = set()
    run_exports: dict[str, VersionRunExports] = {}
    for version, (timestamp, filename, record) in by_version.items():
        entry = entries[filename]
        channel_fields = entry.channeldata if isinstance(entry, Record) else {}
        all_fields = {**channel_fields, **record}
        fields = {name: all_fields[name] for name in FIELDS if all_fields.get(name)}
        versions.append(VersionFields(version=version, timestamp=timestamp, fields=fields))
        flags |= {flag for flag in FLAGS if channel_fields.get(flag)}
        if exports := view.run_exports.get(filename):
            run_exports[version] = VersionRunExports(timestamp=timestamp, run_exports=exports)
    return Contribution(
        versions=newest_distinct_fields(versions),
        flags=sorted(flags),
        run_exports=run_exports,
        timestamp=max(timestamp_seconds(record.get("timestamp")) for _, record in builds),
    )


def newest_distinct_fields(versions: list[VersionFields]) -> list[VersionFields]:
    """The newest version, and older ones with fields that it lacks."""
    kept: list[VersionFields] = []
    known: set[str] = set()
    for version in sorted(versions, key=lambda fields: fields.sort_key, reverse=True):
        new_fields = {name: value for name, value in version.fields.items() if name not in known}
        if new_fields or not kept:
            kept.append(msgspec.structs.replace(version, fields=new_fields))
            known |= new_fields.keys()
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
