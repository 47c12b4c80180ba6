"""What clients see of the entries of one package name.  Pure.

The catalog keeps what packages say.  Patches and configuration are applied here, each time that
something is rendered.  So reverting a patch or a setting only needs another rendering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sluice.catalog.entry import CarriedRecord, Entries, Entry, Pin, Record
from sluice.channel_config import DEFAULT_CONFIG, ChannelConfig
from sluice.conda.match_spec import with_bracketed_specs
from sluice.conda.names import split_extension
from sluice.conda.patch import PatchInstructions, apply_patch
from sluice.conda.record_fields import with_feature_string
from sluice.conda.revision import LEGACY, V3, required_revision
from sluice.conda.timestamps import timestamp_warning

_INDEXER_ONLY_FIELDS = ("repodata_revision", "schema_version")
"""Fields of ``index.json`` about itself: the place of a record already shows its revision."""


@dataclass(frozen=True, slots=True)
class RenderRules:
    """What decides, besides its entries, what clients see of a name."""

    config: ChannelConfig = DEFAULT_CONFIG
    instructions: PatchInstructions | None = None
    """The instructions of the active patch for this subdir."""

    @property
    def unpatched(self) -> RenderRules:
        """The same rules for ``repodata_from_packages.json``."""
        return replace(self, instructions=None)


NO_RULES = RenderRules()
LEGACY_ONLY = "legacy"


@dataclass(frozen=True, slots=True)
class ClientView:
    """What clients see of some files.  Filenames and keys are in order."""

    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By filename: records that every client can read."""
    v3: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """By bucket (``conda``, ``tar.bz2``, others) and filename without extension (CEP 48)."""
    removed: Sequence[str] = field(default_factory=list)
    """Files that a person has removed from the index; the objects may still exist (CEP 36)."""
    run_exports: Mapping[str, Any] = field(default_factory=dict)
    """By filename, for each package whose run exports are known, ``{}`` if it has none; also for
    packages that a patch removes (CEP 12)."""

    @property
    def count(self) -> int:
        """Number of records."""
        return len(self.records) + sum(map(len, self.v3.values()))


def render_view(entries: Entries, rules: RenderRules) -> ClientView:
    """Apply configuration and patch to the entries of one name."""
    records: dict[str, Mapping[str, Any]] = {}
    v3: dict[str, dict[str, Mapping[str, Any]]] = {}
    removed: list[str] = []
    run_exports: dict[str, Any] = {}
    for filename, entry in sorted(entries.items()):
        match entry:
            case Pin():
                removed.append(filename)
            case CarriedRecord() if rules.config.package_revisions != LEGACY_ONLY:
                carried = _apply_patch(
                    filename, entry.record, None, rules.instructions, entry.bucket
                )[0]
                if carried is None:
                    removed.append(filename)
                else:
                    v3.setdefault(entry.bucket, {})[entry.stem(filename)] = carried
            case Record() if not is_hidden(entry.record, rules.config):
                stem, archive = split_extension(filename)
                bucket = archive if _revision(entry.record, rules.config) >= V3 else None
                patched, exports = _apply_patch(
                    filename, entry.record, entry.known_run_exports, rules.instructions, bucket
                )
                if exports is not None:
                    run_exports[filename] = exports
                if patched is None:
                    removed.append(filename)
                elif bucket:
                    v3.setdefault(bucket, {})[stem] = with_bracketed_specs(patched)
                else:
                    records[filename] = patched
    by_bucket = {bucket: dict(sorted(by_stem.items())) for bucket, by_stem in sorted(v3.items())}
    return ClientView(records, by_bucket, removed, run_exports)


def is_hidden(record: Mapping[str, Any], config: ChannelConfig) -> bool:
    """Whether the configuration rejects a record."""
    return is_hidden_by_timestamp(record, config) or is_hidden_by_revision(record, config)


def is_hidden_by_timestamp(record: Mapping[str, Any], config: ChannelConfig) -> bool:
    """Whether the configuration rejects a record for its ``timestamp`` (CEP 47)."""
    return config.timestamps == "reject" and timestamp_warning(record) is not None


def is_rejected_by_revision(entry: Entry, config: ChannelConfig) -> bool:
    """Whether the configuration rejects a file because it needs revision 3, and nothing else."""
    if isinstance(entry, CarriedRecord):
        return config.package_revisions == LEGACY_ONLY
    return (
        isinstance(entry, Record)
        and is_hidden_by_revision(entry.record, config)
        and not is_hidden_by_timestamp(entry.record, config)
    )


def is_hidden_by_revision(record: Mapping[str, Any], config: ChannelConfig) -> bool:
    """Whether the configuration rejects a record because it needs revision 3 (CEP 48)."""
    return config.package_revisions == LEGACY_ONLY and required_revision(record) > LEGACY


def _revision(record: Mapping[str, Any], config: ChannelConfig) -> int:
    # "latest" never moves records down that need revision 3: old clients would misread them.
    latest = (
        config.package_revision_assignment == "latest"
        and bool(config.repodata_revisions)
        and config.package_revisions != LEGACY_ONLY
    )
    return max(required_revision(record), V3 if latest else LEGACY)


def _apply_patch(
    filename: str,
    record: Mapping[str, Any],
    run_exports: Any,
    instructions: PatchInstructions | None,
    bucket: str | None,
) -> tuple[Mapping[str, Any] | None, Any]:
    """The record (``None`` if it is removed) and its run exports."""
    plain = {key: value for key, value in record.items() if key not in _INDEXER_ONLY_FIELDS}
    if instructions is None:
        return with_feature_string(plain), run_exports
    patched = apply_patch(instructions, filename, plain, run_exports, bucket=bucket)
    if patched is None:
        return None, run_exports
    return with_feature_string(patched.record), patched.run_exports
