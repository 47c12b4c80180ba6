"""The document that lists the files of a subdir that are not in its index, and the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec

from sluice.catalog.client_view import is_hidden_by_timestamp, is_rejected_by_revision
from sluice.catalog.entry import (
    CarriedRecord,
    Entries,
    Entry,
    Record,
    Reject,
    is_left_out,
    stored_warnings,
)
from sluice.catalog.file_warnings import (
    SHARD_TOO_LARGE,
    TIMESTAMP_IN_FUTURE,
    FileWarning,
    make_file_warning,
)
from sluice.catalog.tree import InputProblem, Node, Tree
from sluice.channel_config import ChannelConfig
from sluice.conda.timestamps import timestamp_warning
from sluice.layout import Subdir
from sluice.limits import (
    MIB,
    REJECTS_LISTED_BYTES_MAX,
    REJECTS_LISTED_MAX,
    REJECTS_LISTED_PER_NAME_MAX,
    SHARD_BYTES_WARNED,
)
from sluice.publish.fence import Stamp
from sluice.storage.object_store import ObjectInfo

FORMAT = 1
REVISION_NOT_ALLOWED = "repodata-revision-not-allowed"
"""Code of a reject for a package that needs revision 3, by the channel's configuration."""
NO_NODES: Mapping[str, Node] = {}
_INDENT_BYTES = 64
"""By which an item is larger inside the document: ten lines are four spaces further in."""


def rejects_outdated(info: ObjectInfo | None, tree: Tree, *, owner: str) -> bool:
    """Whether the rejects changed after the current document was written."""
    current = Stamp.parse(info.metadata) if info else None
    return current is None or current.owner != owner or current.generation < tree.rejects_generation


def has_rejects_or_warnings(node: Node) -> bool:
    """Whether the document may have an item for a name."""
    return node.rejects > 0 or has_warnings(node)


def has_warnings(node: Node | None) -> bool:
    """Whether there is any warning about a name, or a reject by the configuration."""
    extras = node.extras if node else None
    return extras is not None and bool(
        extras.warnings or extras.other_warnings or extras.shard_bytes or extras.hidden_by_revision
    )


@dataclass(frozen=True, slots=True)
class IssueCounts:
    """How many rejects and warnings a subdir has, of which the document lists a bounded number."""

    rejects: int
    warnings: int

    @classmethod
    def of_nodes(cls, nodes: Iterable[Node], config: ChannelConfig) -> IssueCounts:
        """Count those of the nodes of a tree."""
        rejects = timestamps = others = 0
        for node in nodes:
            rejects += node.rejects
            if node.extras:
                rejects += node.extras.hidden_by_revision
                timestamps += node.extras.warnings
                others += node.extras.other_warnings
                others += config.write_shards and node.extras.shard_bytes > 0
        if config.timestamps == "reject":
            return cls(rejects + timestamps, others)
        return cls(rejects, timestamps + others)


def render_rejects(  # noqa: PLR0913 - the document is made of that much
    leaves: Iterable[Entries],
    problems: Iterable[InputProblem] = (),
    *,
    channel_warnings: Sequence[InputProblem] = (),
    shards: Mapping[str, Node] = NO_NODES,
    counts: IssueCounts,
    config: ChannelConfig,
    subdir: Subdir,
    stamp: Stamp,
) -> bytes:
    """Serialize the rejects and warnings among the entries, by filename, and the problems.

    ``channel_warnings`` are about a configuration that is active all the same; ``shards`` are the
    nodes by name.  ``counts`` are those of all ``leaves`` and shards; ``leaves`` are read only as
    far as there is room for more.  The document has at most ``REJECTS_LISTED_MAX`` of each, and
    less than 1 MiB.
    """
    budget = _Budget(REJECTS_LISTED_BYTES_MAX)
    rejects = _Items(counts.rejects, budget)
    warnings = _Items(counts.warnings + len(channel_warnings), budget)
    for problem in channel_warnings:
        warnings.add(msgspec.to_builtins(problem))
    for name, node in shards.items() if config.write_shards else ():
        warnings.begin_name()
        if item := _shard_warning(subdir, name, node):
            warnings.add(item)
    for entries in leaves:
        rejects.begin_name()
        warnings.begin_name()
        for filename, entry in entries.items():
            if reject := _reject_item(filename, entry, config):
                rejects.add(reject)
            for warning in _warnings(filename, entry, config):
                warnings.add(_item(filename, entry, warning))
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


def _warnings(filename: str, entry: Entry, config: ChannelConfig) -> Iterator[FileWarning]:
    """The warnings about one file, as far as they are no rejects by the configuration."""
    if isinstance(entry, Record) and not is_hidden_by_timestamp(entry.record, config):
        yield from _timestamp_warnings(filename, entry)
    yield from stored_warnings(entry)


def _timestamp_warnings(filename: str, entry: Record) -> list[FileWarning]:
    reason = timestamp_warning(entry.record)
    sentence = f"{filename}: {reason} (CEP 47)."
    return [FileWarning(code=TIMESTAMP_IN_FUTURE, sentence=sentence)] if reason else []


def _reject_item(filename: str, entry: Entry, config: ChannelConfig) -> dict[str, Any] | None:
    """The reject of a file, by its verdict or by the configuration; ``None`` if there is none."""
    if isinstance(entry, Reject):
        if is_left_out(entry):
            return None
        return {**_item(filename, entry, entry), "rejected_at": entry.at}
    if not isinstance(entry, Record | CarriedRecord):
        return None
    if is_rejected_by_revision(entry, config):
        reject = FileWarning(
            code=REVISION_NOT_ALLOWED,
            sentence=(
                f"{filename} needs revision 3 of repodata (CEP 48), and the channel's sluice.toml "
                'has package-revisions = "legacy".'
            ),
        )
    elif isinstance(entry, Record) and is_hidden_by_timestamp(entry.record, config):
        (reject,) = _timestamp_warnings(filename, entry)
    else:
        return None
    at = entry.record.get("indexed_timestamp")
    return {**_item(filename, entry, reject), "rejected_at": at}


def _item(filename: str, entry: Entry, reason: FileWarning | Reject) -> dict[str, Any]:
    return {
        "filename": filename,
        "code": reason.code,
        "sentence": reason.sentence,
        "identity": entry.identity,
    }


def _shard_warning(subdir: Subdir, name: str, node: Node) -> dict[str, Any] | None:
    if not node.extras or not node.extras.shard_bytes or not node.shard:
        return None
    warning = make_file_warning(
        SHARD_TOO_LARGE,
        f"The shard of {name} has {node.extras.shard_bytes / MIB:.1f} MiB without compression, "
        f"and conda reads none of more than {SHARD_BYTES_WARNED // MIB} MiB.",
    )
    return {
        "filename": subdir.shard_key(node.shard.hex()).removeprefix(subdir.prefix),
        "code": warning.code,
        "sentence": warning.sentence,
        "identity": None,
    }


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
