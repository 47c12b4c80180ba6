"""What index files say of the channel in ``info`` (CEP 15, 36, 42, 48)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sluice.catalog.tree import Tree
from sluice.channel_config import ChannelConfig

_REVISIONS = "repodata_revisions"
_V3 = "v3"


@dataclass(frozen=True, slots=True)
class V3Summary:
    """What a file tells of its records in revision 3 (CEP 48)."""

    count: int
    oldest: int | None
    """Least ``indexed_timestamp``, ms since the epoch; ``None`` where no record has one."""
    newest: int | None

    @classmethod
    def of(cls, count: int, times: Iterable[int | None]) -> V3Summary:
        """Summarise by some of the records' times, the least and the greatest among them."""
        known = [time for time in times if time is not None]
        return cls(count, min(known, default=None), max(known, default=None))

    @classmethod
    def of_tree(cls, tree: Tree) -> V3Summary:
        """Of what clients see, without a look at the leaves."""
        special = [node.special for node in tree.names.values() if node.special]
        times = [time for one in special for time in (one.v3_oldest, one.v3_newest)]
        return cls.of(sum(one.v3 for one in special), times)


def info_of(tree: Tree, config: ChannelConfig, v3: V3Summary) -> dict[str, Any]:
    """All but ``subdir``: the configuration, over what an index before sluice said."""
    info: dict[str, Any] = dict(tree.info or {})
    if config.base_url:
        info["base_url"] = config.base_url
    if config.relations:
        info["channel_relations"] = config.relations
    revisions = _revisions(info.pop(_REVISIONS, {}), config, v3)
    return {**info, _REVISIONS: revisions} if revisions else info


def _revisions(
    before: dict[str, dict[str, Any]], config: ChannelConfig, v3: V3Summary
) -> dict[str, dict[str, Any]]:
    """Revisions that are configured, were told of before, or hold records."""
    revisions = {name: dict(about) for name, about in before.items()}
    for revision in config.repodata_revisions:
        about = revisions.setdefault(revision.revision, {})
        if revision.message is not None:
            about["message"] = revision.message
    if v3.count or _V3 in revisions:
        told = {"n_packages": v3.count, "oldest": v3.oldest, "newest": v3.newest}
        known = {key: value for key, value in told.items() if value is not None}
        revisions[_V3] = {**revisions.get(_V3, {}), **known}
    return revisions
