"""The differences between two generations of a subdir.

Their trees show which package names differ, so only the leaves of those are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from sluice.admin.history.generations import GenerationRef, OldGeneration, find_commits
from sluice.admin.session.channel import Channel
from sluice.catalog.entry import CarriedRecord, Entries, Entry, Pin, Record, Reject, is_left_out
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.layout import Subdir
from sluice.limits import NAMES_AT_ONCE

ChangeKind = Literal["added", "removed", "replaced", "rewritten", "rejected", "pinned", "forgotten"]
"""*replaced*: by another artifact; *rewritten*: the same artifact with another record; *rejected*
and *pinned*: a file that was not in the index before; *forgotten*: a file that was rejected or
pinned and is no longer known."""


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """The difference about one file."""

    file: str
    kind: ChangeKind
    why: str | None = None
    """For a file that is known but not in the index: the reject's sentence or the pin's reason."""
    fields: list[str] = []
    """The fields of its record that differ, if it was replaced or rewritten."""


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """The differences from one generation to another."""

    subdir: str
    before: int
    """The first generation."""
    after: int
    changes: list[FileChange]
    """In order of package names, then of files."""
    config_changed: bool
    """Whether the active ``sluice.toml`` differs."""
    patch_changed: bool
    """Whether the active patch instructions differ: what clients see may then differ beyond
    ``changes``."""

    @property
    def empty(self) -> bool:
        """Whether there is no difference."""
        return not self.changes and not self.config_changed and not self.patch_changed


def diff(channel: Channel, subdir: Subdir, before: GenerationRef, after: GenerationRef) -> Diff:
    """Compare two generations, each given by its number or by a time at which it was the newest.

    Two requests per package name that differs.  Raises ``NotFound`` if one of them is not kept,
    also if it is collected during the read, ``Unavailable`` and ``Corrupt``.

    >>> difference = diff(channel, channel.subdir("linux-64"), 1, 2)
    >>> [(change.kind, change.file) for change in difference.changes]
    [('added', 'beta-1.0-py312_0.conda')]
    """
    old, new = find_commits(channel, subdir, before, after)
    catalog = CatalogReader(channel.state, subdir, channel.executor)
    changes = diff_generations(
        OldGeneration(channel, subdir, old, catalog), OldGeneration(channel, subdir, new, catalog)
    )
    return Diff(
        subdir=subdir.name,
        before=old.generation,
        after=new.generation,
        changes=list(changes),
        config_changed=old.config != new.config,
        patch_changed=old.patch != new.patch,
    )


def diff_generations(before: OldGeneration, after: OldGeneration) -> Iterator[FileChange]:
    """The differences about the files of two generations of a subdir.

    Raises ``NotFound``, ``Unavailable`` and ``Corrupt``.
    """
    old_tree, new_tree = before.tree(), after.tree()
    differing = sorted(
        name
        for name in old_tree.names.keys() | new_tree.names.keys()
        if _leaf_digest(old_tree, name) != _leaf_digest(new_tree, name)
    )
    for names in chunks(differing, NAMES_AT_ONCE):
        old, new = before.entries(names), after.entries(names)
        for name in names:
            yield from changes_of_name(old[name], new[name])


def changes_of_name(before: Entries, after: Entries) -> Iterator[FileChange]:
    """The differences about the files of one package name, in order.  Pure."""
    for file in sorted(before.keys() | after.keys()):
        old, new = before.get(file), after.get(file)
        fields = _differing_fields(_indexed_record(old), _indexed_record(new))
        if kind := _change_kind(old, new, fields):
            both = kind in ("replaced", "rewritten")
            yield FileChange(
                file=file, kind=kind, why=_reason_not_indexed(new), fields=fields if both else []
            )


def _change_kind(old: Entry | None, new: Entry | None, fields: list[str]) -> ChangeKind | None:
    was, now = _indexed_record(old), _indexed_record(new)
    if was is not None and now is not None:
        same = _artifact_id(was) == _artifact_id(now)
        return ("rewritten" if same else "replaced") if fields else None
    if was is not None or now is not None:
        return "removed" if now is None else "added"
    if old == new:
        return None
    match new:
        case Reject():
            return None if is_left_out(new) else "rejected"
        case Pin():
            return "pinned"
    return "forgotten"


def _indexed_record(entry: Entry | None) -> dict[str, Any] | None:
    """The record, if the file is in the index."""
    return entry.record if isinstance(entry, Record | CarriedRecord) else None


def _differing_fields(was: dict[str, Any] | None, now: dict[str, Any] | None) -> list[str]:
    if was is None or now is None:
        return []
    return sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))


def _artifact_id(record: dict[str, Any]) -> tuple[Any, Any]:
    """The identity of an artifact; records of old indexes have only MD5."""
    return record.get("sha256") or record.get("md5"), record.get("size")


def _reason_not_indexed(entry: Entry | None) -> str | None:
    match entry:
        case Reject(sentence=sentence):
            return sentence
        case Pin(reason=reason):
            return reason
    return None


def _leaf_digest(tree: Tree, name: str) -> bytes | None:
    node = tree.names.get(name)
    return node.leaf if node else None
