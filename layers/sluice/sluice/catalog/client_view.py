"""What clients see of the entries of one package name.  Pure.

The catalog keeps what packages say; patches and configuration are applied here, each time that
something is rendered.  So taking a patch back, or a setting, is nothing but rendering again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sluice.catalog.entry import Entries, Kept, Pin, Record
from sluice.channel_config import DEFAULT, ChannelConfig
from sluice.conda.match_spec import with_bracketed
from sluice.conda.names import archive_of
from sluice.conda.patch import Instructions, apply
from sluice.conda.revision import LEGACY, V3, required_revision
from sluice.conda.timestamps import timestamp_warning

_FOR_THE_INDEXER = ("repodata_revision", "schema_version")
"""What ``index.json`` says of itself: which revision it needs has been told by where it stands."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What, beside its entries, decides what clients see of a name."""

    config: ChannelConfig = DEFAULT
    instructions: Instructions | None = None
    """Of the patch in force, for this subdir."""

    @property
    def unpatched(self) -> Rules:
        """The same for ``repodata_from_packages.json``."""
        return replace(self, instructions=None)


PLAIN = Rules()


@dataclass(frozen=True, slots=True)
class View:
    """What clients see of some files.  Filenames and keys are in order."""

    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By filename: what every client can read."""
    v3: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """By bucket (``conda``, ``tar.bz2``, others) and filename without extension (CEP 48)."""
    removed: Sequence[str] = field(default_factory=list)
    """Files that a person has taken out of the index; they may still be there (CEP 36)."""
    run_exports: Mapping[str, Any] = field(default_factory=dict)
    """By filename, of each package whose run exports are known, ``{}`` where it has none; also
    of those that a patch removes (CEP 12)."""

    @property
    def count(self) -> int:
        """How many records there are."""
        return len(self.records) + sum(map(len, self.v3.values()))


def view(entries: Entries, rules: Rules) -> View:
    """Apply configuration and patch to the entries of one name."""
    records: dict[str, Mapping[str, Any]] = {}
    v3: dict[str, dict[str, Mapping[str, Any]]] = {}
    removed: list[str] = []
    run_exports: dict[str, Any] = {}
    for filename, entry in sorted(entries.items()):
        match entry:
            case Pin():
                removed.append(filename)
            case Kept():
                kept = _patched(filename, entry.record, None, rules.instructions, entry.bucket)[0]
                if kept is None:
                    removed.append(filename)
                else:
                    v3.setdefault(entry.bucket, {})[entry.stem(filename)] = kept
            case Record() if not hidden(entry.record, rules.config):
                stem, archive = archive_of(filename)
                bucket = archive if _revision(entry.record, rules.config) >= V3 else None
                shown, exports = _patched(
                    filename, entry.record, entry.known_run_exports, rules.instructions, bucket
                )
                if exports is not None:
                    run_exports[filename] = exports
                if shown is None:
                    removed.append(filename)
                elif bucket:
                    v3.setdefault(bucket, {})[stem] = with_bracketed(shown)
                else:
                    records[filename] = shown
    by_bucket = {bucket: dict(sorted(of.items())) for bucket, of in sorted(v3.items())}
    return View(records, by_bucket, removed, run_exports)


def hidden(record: Mapping[str, Any], config: ChannelConfig) -> bool:
    """Tell whether the configuration rejects a record for its ``timestamp`` (CEP 47)."""
    return config.timestamps == "reject" and timestamp_warning(record) is not None


def _revision(record: Mapping[str, Any], config: ChannelConfig) -> int:
    # "latest" never moves down what only revision 3 can say: old clients would misread it.
    latest = config.package_revision_assignment == "latest" and bool(config.repodata_revisions)
    return max(required_revision(record), V3 if latest else LEGACY)


def _patched(
    filename: str,
    record: Mapping[str, Any],
    run_exports: Any,
    instructions: Instructions | None,
    bucket: str | None,
) -> tuple[Mapping[str, Any] | None, Any]:
    """The record, ``None`` where it is removed, and its run exports."""
    plain = {key: value for key, value in record.items() if key not in _FOR_THE_INDEXER}
    if instructions is None:
        return plain, run_exports
    patched = apply(instructions, filename, plain, run_exports, bucket=bucket)
    return (patched.record, patched.run_exports) if patched else (None, run_exports)
