"""``channeldata.json`` (CEP 38), from the contributions of a channel's subdirs.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sluice.channel_files.contribution import FLAGS, Contribution
from sluice.publish.fence import Stamp

_VERSION = 1


def channeldata_packages(
    by_name: Mapping[str, Mapping[str, Contribution]],
) -> dict[str, dict[str, Any]]:
    """The ``packages`` of the document, by name."""
    return {name: _package(subdirs) for name, subdirs in sorted(by_name.items())}


def render_channeldata(
    packages: Mapping[str, Mapping[str, Any]], *, subdirs: list[str], stamp: Stamp
) -> bytes:
    """Serialize the document; ``packages`` is the result of ``channeldata_packages``."""
    document = {
        "channeldata_version": _VERSION,
        "packages": packages,
        "sluice": stamp.body,
        "subdirs": subdirs,
    }
    return msgspec.json.encode(document)


def _package(subdirs: Mapping[str, Contribution]) -> dict[str, Any]:
    """The fields of the newest version; a field that it lacks comes from the newest that has it."""
    versions = [
        version_fields
        for contribution in subdirs.values()
        for version_fields in contribution.versions
    ]
    versions.sort(key=lambda fields: fields.sort_key, reverse=True)
    fields: dict[str, Any] = {}
    for version_fields in versions:
        fields = {**version_fields.fields, **fields}
    exported: dict[str, tuple[int, Any]] = {}
    for contribution in subdirs.values():
        for version, version_exports in contribution.run_exports.items():
            known = exported.get(version)
            if known is None or version_exports.timestamp >= known[0]:
                exported[version] = version_exports.timestamp, version_exports.run_exports
    flags = {flag for contribution in subdirs.values() for flag in contribution.flags}
    package = {
        **fields,
        **{flag: flag in flags for flag in FLAGS},
        "run_exports": {version: exports for version, (_, exports) in sorted(exported.items())},
        "subdirs": sorted(subdirs),
        "timestamp": max(contribution.timestamp for contribution in subdirs.values()),
        "version": versions[0].version,
    }
    return dict(sorted(package.items()))
