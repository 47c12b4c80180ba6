"""Pins and unpins files: a pin keeps a file out of the index on purpose."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import msgspec

from sluice.admin.changes.commit_edit import (
    CommitEdit,
    CommitResult,
    HeadSnapshot,
    commit_edit,
    read_snapshot,
)
from sluice.admin.session.channel import Channel
from sluice.admin.session.subdirs import find_subdirs
from sluice.catalog.commit import Amendment
from sluice.catalog.entry import NEVER_OUTDATED, Entry, Pin, Record, known_sha256
from sluice.conda.names import package_name
from sluice.conda.timestamps import EpochMs
from sluice.errors import NotFound
from sluice.extract.extract import ExtractorContext, extract
from sluice.extract.staging import FileVerdict, Indexed, Rejected, Removed
from sluice.layout import PackageKey, Subdir
from sluice.merge.apply_staging import EntryEdits
from sluice.merge.object_lookup import ObjectLookup
from sluice.messages.merge_request import DEBOUNCE_SECONDS_MIN
from sluice.storage.object_id import ObjectId
from sluice.storage.queue import NoQueue

_RECEIVES_MAX = 2
"""Tries to read a package: the caller sees the failure of the last one."""


class PinnedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is pinned out of the index."""

    subdir: str
    file: str
    since: EpochMs
    """Time of the pin."""
    reason: str


class Unpinned(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an unpin in one subdir."""

    subdir: str
    generation: int | None
    """The new generation; ``None`` if a merge was faster, and the pins are gone."""
    indexed: list[str]
    """Files that enter the index with the next merge."""
    rejected: list[str]
    """Files that cannot be indexed as they are: ``sluice rejects`` shows the reasons."""
    gone: list[str]
    """Files that are no longer in the bucket."""


@dataclass(frozen=True, slots=True)
class PinResult:
    """Files that were pinned out."""

    committed: CommitResult | None
    """``None`` if there was nothing to do."""
    identities: Mapping[str, ObjectId]
    """The pinned objects, by filename."""


def pins(channel: Channel) -> list[PinnedFile]:
    """Every pin of a channel, by subdir and file.

    One request per package name that has any.  The catalog of sluice 0.1 does not say which do:
    then it is one per name, until all its names have changed.
    """
    pinned_files: list[PinnedFile] = []
    for subdir in find_subdirs(channel):
        with suppress(NotFound):  # only staging so far
            pinned_files += [
                PinnedFile(subdir=subdir.name, file=filename, since=pin.at, reason=pin.reason)
                for filename, pin in read_snapshot(channel, subdir, _list_pins)
            ]
    return pinned_files


def pin(channel: Channel, subdir: Subdir, files: Collection[str], *, reason: str) -> PinResult:
    """Keep files of one subdir out of the index, as the objects that they are now.

    Another object under the same name is indexed again.  Raises ``NotFound`` for a file that is
    neither in the bucket nor in the catalog, before anything is done, ``Unavailable`` and
    ``Corrupt``.

    >>> linux = channel.subdir("linux-64")
    >>> result = pin(channel, linux, ["beta-1.0-py312_0.conda"], reason="Crashes at start.")
    >>> result.committed.generation, result.committed.difference.removed
    (3, ['beta-1.0-py312_0.conda'])
    >>> [(pinned.file, pinned.reason) for pinned in pins(channel)]
    [('beta-1.0-py312_0.conda', 'Crashes at start.')]
    """
    objects: dict[str, ObjectId] = {}

    def edit(snapshot: HeadSnapshot) -> CommitEdit:
        objects.clear()
        lookup = ObjectLookup(channel.public, subdir, channel.executor)
        objects.update({file: there for file, there in lookup.resolve(files).items() if there})
        edits: dict[str, dict[str, Entry | None]] = {}
        for name, of_name in _group_by_name(files).items():
            known = dict(snapshot.entries(name))[name]
            missing = [file for file in of_name if file not in objects and file not in known]
            if missing:
                raise NotFound(f"{subdir.file_key(missing[0])} does not exist in {channel.bucket}")
            for file in of_name:
                old, current = known.get(file), objects.get(file)
                if current is None:
                    if isinstance(old, Record):  # its removal is on the way
                        edits.setdefault(name, {})[file] = None
                elif not (isinstance(old, Pin) and old.identity == current):
                    edits.setdefault(name, {})[file] = Pin(
                        identity=current,
                        extractor=NEVER_OUTDATED,
                        at=channel.clock(),
                        reason=reason,
                        sha256=known_sha256(old, current),
                    )
        pinned = sorted(
            file for of_name in edits.values() for file, pin_entry in of_name.items() if pin_entry
        )
        return CommitEdit(edits, Amendment(reason=reason, pinned=sorted(pinned)))

    committed = commit_edit(channel, subdir, edit)
    return PinResult(committed, dict(objects))


def unpin(
    channel: Channel, subdir: Subdir, files: Collection[str], *, reason: str = ""
) -> Unpinned:
    """Let files of one subdir into the index again, as the objects that they are now.

    Each is read again here, as extract does, and staged before the pin is removed.  If the process
    is killed in between, only the pin is left.  The files enter the index with the next merge.
    Raises ``NotFound`` for a file that is not pinned, before anything is done, ``Unavailable`` and
    ``Corrupt``.
    """
    read_snapshot(channel, subdir, partial(_require_pinned, subdir, files))
    extractor = ExtractorContext(
        channel=channel.public,
        state=channel.state,
        merge_queue=NoQueue(),  # commit_edit requests the merge
        executor=channel.executor,
        clock=channel.clock,
        new_id=channel.new_id,
        debounce_seconds=DEBOUNCE_SECONDS_MIN,
        trust_uploader_digests=False,  # a stack may have the opposite setting
        receives_max=_RECEIVES_MAX,
    )

    verdicts: dict[str, FileVerdict] = {}

    def edit(snapshot: HeadSnapshot) -> CommitEdit:
        edits: dict[str, EntryEdits] = {}
        for name, of_name in _group_by_name(files).items():
            known = dict(snapshot.entries(name))[name]
            pinned = [file for file in of_name if isinstance(known.get(file), Pin)]
            if pinned:
                edits[name] = dict.fromkeys(pinned)
        unpinned = sorted(file for of_name in edits.values() for file in of_name)
        # In each attempt: the merge that won the head may have consumed the earlier records.
        keys = [PackageKey(subdir, file) for file in unpinned]
        verdicts.update(
            zip(unpinned, channel.executor.map(partial(extract, extractor), keys), strict=True)
        )
        return CommitEdit(edits, Amendment(reason=reason, unpinned=unpinned))

    committed = commit_edit(channel, subdir, edit)
    return Unpinned(
        subdir=subdir.name,
        generation=committed.generation if committed else None,
        indexed=[file for file, record in verdicts.items() if isinstance(record, Indexed)],
        rejected=[file for file, record in verdicts.items() if isinstance(record, Rejected)],
        gone=[file for file, record in verdicts.items() if isinstance(record, Removed)],
    )


def _require_pinned(subdir: Subdir, files: Iterable[str], snapshot: HeadSnapshot) -> None:
    for name, of_name in _group_by_name(files).items():
        known = dict(snapshot.entries(name))[name]
        for file in of_name:
            if not isinstance(known.get(file), Pin):
                raise NotFound(f"{subdir.file_key(file)} is not pinned")


def _list_pins(snapshot: HeadSnapshot) -> list[tuple[str, Pin]]:
    """The pins of one subdir by filename, in order."""
    return sorted(
        (filename, entry)
        for _, entries in snapshot.entries(*snapshot.tree.names_with_pins)
        for filename, entry in entries.items()
        if isinstance(entry, Pin)
    )


def _group_by_name(files: Iterable[str]) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for file in sorted(set(files)):
        by_name.setdefault(package_name(file), []).append(file)
    return by_name
