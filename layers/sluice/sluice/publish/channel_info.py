"""The channel's part of ``info`` in index files (CEP 15, 36, 42, 48, conda/ceps#192)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sluice.catalog.tree import Tree
from sluice.channel_config import ChannelConfig
from sluice.conda.timestamps import EpochMs

_REVISIONS = "repodata_revisions"
_V3 = "v3"
_DETECTORS = "virtual_package_detectors"


@dataclass(frozen=True, slots=True)
class V3Summary:
    """What a file says about its records in revision 3 (CEP 48)."""

    count: int
    oldest: EpochMs | None
    """Least ``indexed_timestamp``; ``None`` if no record has one."""
    newest: int | None

    @classmethod
    def from_times(cls, count: int, times: Iterable[int | None]) -> V3Summary:
        """Summarize from some of the records' times, which include the least and the greatest."""
        known = [time for time in times if time is not None]
        return cls(count, min(known, default=None), max(known, default=None))

    @classmethod
    def from_tree(cls, tree: Tree) -> V3Summary:
        """The summary of what clients see, from the tree alone, without its leaves."""
        all_extras = [node.extras for node in tree.names.values() if node.extras]
        times = [time for extras in all_extras for time in (extras.v3_oldest, extras.v3_newest)]
        return cls.from_times(sum(extras.v3 for extras in all_extras), times)


def channel_info(tree: Tree, config: ChannelConfig, v3: V3Summary) -> dict[str, Any]:
    """All but ``subdir``: the configuration, over the fields of an index from before sluice.

    An empty subdir does not mention revision 3 only because that index did.
    """
    info: dict[str, Any] = dict(tree.info or {})
    if config.base_url:
        info["base_url"] = config.base_url
    if config.relations:
        info["channel_relations"] = config.relations
    if config.virtual_package_detectors is not None:
        info.pop(_DETECTORS, None)
    if config.virtual_package_detectors:
        info[_DETECTORS] = config.virtual_package_detectors
    before = info.pop(_REVISIONS, {})
    if not tree.visible_records and not before.get(_V3, True):
        before = {name: summary for name, summary in before.items() if name != _V3}
    revisions = _revisions(before, config, v3)
    return {**info, _REVISIONS: revisions} if revisions else info


def _revisions(
    previous: dict[str, dict[str, Any]], config: ChannelConfig, v3: V3Summary
) -> dict[str, dict[str, Any]]:
    """The revisions that are configured, were listed before, or have records.

    Clients from before CEP 48 cannot read an index that mentions any.
    """
    if config.package_revisions == "legacy":
        return {}
    revisions = {name: dict(summary) for name, summary in previous.items()}
    for revision in config.repodata_revisions:
        summary = revisions.setdefault(revision.revision, {})
        if revision.message is not None:
            summary["message"] = revision.message
    if v3.count or _V3 in revisions:
        fields = {"n_packages": v3.count, "oldest": v3.oldest, "newest": v3.newest}
        known = {key: value for key, value in fields.items() if value is not None}
        revisions[_V3] = {**revisions.get(_V3, {}), **known}
    return revisions
