"""The document that lists the files of a subdir that are not in its index, and the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec

from sluice.catalog.client_view import is_hidden
from sluice.catalog.entry import Entries, Record, Reject
from sluice.catalog.tree import InputProblem, Node, Tree
from sluice.channel_config import ChannelConfig
from sluice.conda.timestamps import timestamp_warning
from sluice.layout import Subdir
from sluice.limits import (
    REJECTS_LISTED_BYTES_MAX,
    REJECTS_LISTED_MAX,
    REJECTS_LISTED_PER_NAME_MAX,
)
from sluice.publish.fence import Stamp
from sluice.storage.object_store import ObjectInfo

FORMAT = 1
_TIMESTAMP = "timestamp-in-future"
_INDENT_BYTES = 64
"""By which an item is larger inside the document: ten lines are four spaces further in."""


def rejects_outdated(info: ObjectInfo | None, tree: Tree, *, owner: str) -> bool:
    """Whether the rejects changed after the current document was written."""
    current = Stamp.parse(info.metadata) if info else None
    return current is None or current.owner != owner or current.generation < tree.rejects_generation


def has_rejects_or_warnings(node: Node) -> bool:
    """Whether the document may have an item for a name."""
    return node.rejects > 0 or _warnings(node) > 0


@dataclass(frozen=True, slots=True)
class IssueCounts:
    """How many rejects and warnings a subdir has, of which the document lists a bounded number."""

    rejects: int
    warnings: int

    @classmethod
    def of_nodes(cls, nodes: Iterable[Node], config: ChannelConfig) -> IssueCounts:
        """Count those of the nodes of a tree."""
        counted = [(node.rejects, _warnings(node)) for node in nodes]
        rejects, warnings = sum(one for one, _ in counted), sum(one for _, one in counted)
        if config.timestamps == "reject":
            return cls(rejects + warnings, 0)
        return cls(rejects, warnings)


def render_rejects(
    leaves: Iterable[Entries],
    problems: Iterable[InputProblem] = (),
    *,
    counts: IssueCounts,
    config: ChannelConfig,
    subdir: Subdir,
    stamp: Stamp,
) -> bytes:
    """Serialize the rejects and warnings among the entries, by filename, and the problems.

    ``counts`` are those of all ``leaves``, which are read only as far as there is room for more.
    The document has at most ``REJECTS_LISTED_MAX`` of each, and less than 1 MiB.
    """
    budget = _Budget(REJECTS_LISTED_BYTES_MAX)
    rejects, warnings = _Items(counts.rejects, budget), _Items(counts.warnings, budget)
    for entries in leaves:
        rejects.begin_name()
        warnings.begin_name()
        for filename, entry in entries.items():
            if isinstance(entry, Reject):
                rejects.add(
                    {
                        "filename": filename,
                        "code": entry.code,
                        "sentence": entry.sentence,
                        "identity": entry.identity,
                        "rejected_at": entry.at,
                    }
                )
            elif isinstance(entry, Record) and (reason := timestamp_warning(entry.record)):
                warning = {
                    "filename": filename,
                    "code": _TIMESTAMP,
                    "sentence": f"{filename}: {reason} (CEP 47).",
                    "identity": entry.identity,
                }
                if is_hidden(entry.record, config):
                    rejects.add({**warning, "rejected_at": entry.record["indexed_timestamp"]})
                else:
                    warnings.add(warning)
        if rejects.is_complete and warnings.is_complete:
            break
    document = {
        "format": FORMAT,
        "channel": subdir.channel,
        "subdir": subdir.name,
        "sluice": stamp.body,
        "rejects": rejects.in_order(),
        "warnings": warnings.in_order(),
        "omitted": {"rejects": rejects.omitted, "warnings": warnings.omitted},
        "problems": list(problems),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


class _Budget:
    """Bytes that the items of a document may still take."""

    def __init__(self, bytes_left: int) -> None:
        self.bytes_left = bytes_left


class _Items:
    """The items of one kind that a document lists."""

    def __init__(self, total: int, budget: _Budget) -> None:
        self._total = total
        self._per_name_max = (
            REJECTS_LISTED_MAX if total <= REJECTS_LISTED_MAX else REJECTS_LISTED_PER_NAME_MAX
        )
        self._budget = budget
        self._items: list[dict[str, Any]] = []
        self._of_name = 0

    @property
    def omitted(self) -> int:
        """Items that are not listed."""
        return max(self._total - len(self._items), 0)

    @property
    def is_complete(self) -> bool:
        """Whether no further item can be added."""
        return (
            not self.omitted
            or len(self._items) >= REJECTS_LISTED_MAX
            or self._budget.bytes_left <= 0
        )

    def begin_name(self) -> None:
        """Go on to the files of the next package name."""
        self._of_name = 0

    def add(self, item: dict[str, Any]) -> None:
        """List an item, if there is room for it."""
        if len(self._items) >= REJECTS_LISTED_MAX or self._of_name >= self._per_name_max:
            return
        size = len(msgspec.json.format(msgspec.json.encode(item), indent=2)) + _INDENT_BYTES
        if size > self._budget.bytes_left:
            self._budget.bytes_left = 0
            return
        self._budget.bytes_left -= size
        self._items.append(item)
        self._of_name += 1

    def in_order(self) -> list[dict[str, Any]]:
        """The items by filename."""
        return sorted(self._items, key=itemgetter("filename"))


def _warnings(node: Node) -> int:
    return node.extras.warnings if node.extras else 0
