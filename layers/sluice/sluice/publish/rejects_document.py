"""The document that lists the files of a subdir that are not in its index, and the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from sluice.catalog.client_view import is_hidden
from sluice.catalog.entry import Entries, Record, Reject
from sluice.catalog.tree import InputProblem, Node, Tree
from sluice.channel_config import ChannelConfig
from sluice.conda.timestamps import timestamp_warning
from sluice.layout import Subdir
from sluice.publish.fence import Stamp
from sluice.storage.object_store import ObjectInfo

FORMAT = 1
_TIMESTAMP = "timestamp-in-future"


def rejects_outdated(info: ObjectInfo | None, tree: Tree, *, owner: str) -> bool:
    """Whether the rejects changed after the current document was written."""
    current = Stamp.parse(info.metadata) if info else None
    return current is None or current.owner != owner or current.generation < tree.rejects_generation


def has_rejects_or_warnings(node: Node) -> bool:
    """Whether the document may have an item for a name."""
    return node.rejects > 0 or (node.extras is not None and node.extras.warnings > 0)


def render_rejects(
    leaves: Iterable[Entries],
    problems: Iterable[InputProblem] = (),
    *,
    config: ChannelConfig,
    subdir: Subdir,
    stamp: Stamp,
) -> bytes:
    """Serialize the rejects and warnings among the entries, by filename, and the problems."""
    rejects: dict[str, dict[str, Any]] = {}
    warnings: dict[str, dict[str, Any]] = {}
    for entries in leaves:
        for filename, entry in entries.items():
            if isinstance(entry, Reject):
                rejects[filename] = {
                    "filename": filename,
                    "code": entry.code,
                    "sentence": entry.sentence,
                    "identity": entry.identity,
                    "rejected_at": entry.at,
                }
            elif isinstance(entry, Record) and (reason := timestamp_warning(entry.record)):
                warning = {
                    "filename": filename,
                    "code": _TIMESTAMP,
                    "sentence": f"{filename}: {reason} (CEP 47).",
                    "identity": entry.identity,
                }
                if is_hidden(entry.record, config):
                    at = entry.record["indexed_timestamp"]
                    rejects[filename] = {**warning, "rejected_at": at}
                else:
                    warnings[filename] = warning
    document = {
        "format": FORMAT,
        "channel": subdir.channel,
        "subdir": subdir.name,
        "sluice": stamp.body,
        "rejects": [rejects[filename] for filename in sorted(rejects)],
        "warnings": [warnings[filename] for filename in sorted(warnings)],
        "problems": list(problems),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)
