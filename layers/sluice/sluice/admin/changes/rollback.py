"""Rolls a subdir back: a new generation with old content, because history only grows.

Files that are in the index now, and were not then, are pinned out until they are uploaded again or
unpinned.  Files that were in it then come back if the very same object still exists.  A file that
was deleted or overwritten cannot come back; its new content is pinned out, like all other new
files.  A file that is in neither index stays as it is: rejects stay rejects and pins stay pins.  A
file of which another digest was stated since, with the same bytes, stays as it is now.

Only S3 knows which objects exist, so the rollback reads all files in question.  It pins out the
object that exists at that time, even if no merge has seen it yet.  So an upload that was repeated
just before the rollback does not undo it.  A file that is only in staging, and not in the catalog,
enters the index with the next merge; the result names it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType

from sluice.admin.changes.commit_edit import (
    CommitEdit,
    HeadSnapshot,
    commit_edit,
    read_snapshot,
)
from sluice.admin.history.generations import (
    GenerationRef,
    OldGeneration,
    commit_time,
    find_commit,
    format_time,
)
from sluice.admin.session.channel import Channel
from sluice.catalog.commit import Amendment, Commit
from sluice.catalog.entry import (
    NEVER_OUTDATED,
    CarriedRecord,
    Entries,
    Entry,
    Pin,
    Record,
    has_false_digests,
    known_sha256,
)
from sluice.catalog.tree import changed_names
from sluice.conda.names import PACKAGE_SUFFIXES, package_name
from sluice.conda.timestamps import EpochMs
from sluice.layout import Subdir
from sluice.merge.object_lookup import ObjectLookup
from sluice.reconcile.digest_progress import is_of_uploader
from sluice.storage.object_id import ObjectId


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a rollback, or, in a dry run, its plan.  Files are in order."""

    subdir: str
    rolled_back_from: int
    """The generation that was the newest."""
    rolled_back_to: int
    to_committed_at: EpochMs
    """Commit time of the old generation."""
    generation: int | None
    """The new generation; ``None`` in a dry run, and if there was nothing to do."""
    restored: list[str]
    """Files that come back into the index, or get their old record back."""
    pinned: list[str]
    """Files that leave the index until they are uploaded again or unpinned."""
    gone: list[str]
    """Files of the old generation that are no longer in the bucket."""
    changed: list[str]
    """Files of the old generation with other content now, which is pinned out, too."""
    waiting: list[str]
    """Files that were uploaded and not merged yet: they enter the index with the next merge."""


@dataclass(slots=True)
class NameRollback:
    """The edits that restore the files of one package name to an old generation."""

    edits: dict[str, Entry | None] = field(default_factory=dict)
    """Edits by filename."""
    restored: list[str] = field(default_factory=list)
    pinned: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def set_entry(self, filename: str, wanted: Entry | None, *, known: Entry | None) -> None:
        """Edit an entry unless it is already as wanted."""
        if wanted != known:
            self.edits[filename] = wanted


def rollback(
    channel: Channel, subdir: Subdir, to: GenerationRef, *, reason: str = "", dry_run: bool = False
) -> Rollback:
    """Restore the content of an old generation of a subdir, and request its publication.

    ``reason`` is kept with the pins and in the history.  Returns after the commit;
    ``wait_until_published`` waits until clients see it.  Raises ``NotFound`` if the generation does
    not exist (any more), also if it is collected during the read, ``Unavailable`` and ``Corrupt``.

    >>> result = rollback(channel, channel.subdir("linux-64"), 1, dry_run=True)
    >>> result.rolled_back_from, result.rolled_back_to, result.pinned
    (2, 1, ['beta-1.0-py312_0.conda'])
    """
    plan = _RollbackPlan(channel, subdir, to, reason)
    if dry_run:
        read_snapshot(channel, subdir, plan.edit)
        return plan.report(None)
    committed = commit_edit(channel, subdir, plan.edit)
    return plan.report(committed.generation if committed else None)


def plan_name_rollback(
    then: Entries, now: Entries, objects: Mapping[str, ObjectId | None], *, at: EpochMs, reason: str
) -> NameRollback:
    """Find the edits that restore the files of one name.  Pure.

    ``objects``: the current objects of all files whose entries differ; ``at`` (ms) and ``reason``
    are for pins.
    """
    plan = NameRollback()
    for filename in _differing_files(then, now):
        old, new = then.get(filename), now.get(filename)
        if isinstance(old, CarriedRecord) or isinstance(new, CarriedRecord):  # has no object
            plan.set_entry(filename, old if isinstance(old, CarriedRecord) else None, known=new)
            continue
        current = objects[filename]
        if current and has_false_digests(new) and _has_content(new, current):
            continue  # its old record states digests that it does not have
        if isinstance(old, Record) and current and _is_same_object(old, new, current):
            restored = _restored(old, new, current)
            if restored is None:
                continue
            plan.restored += [filename] if restored != new else []
            plan.set_entry(filename, restored, known=new)
            continue
        if isinstance(old, Record):
            (plan.changed if current else plan.gone).append(filename)
        if isinstance(new, Record) and current:
            plan.pinned.append(filename)
            plan.edits[filename] = Pin(
                identity=current,
                extractor=NEVER_OUTDATED,
                at=at,
                reason=reason,
                sha256=known_sha256(new, current),
            )
        elif isinstance(new, Record):  # its removal is on the way
            plan.edits[filename] = None
    return plan


def _differing_files(then: Entries, now: Entries) -> list[str]:
    files = sorted(then.keys() | now.keys())
    return [filename for filename in files if then.get(filename) != now.get(filename)]


def _has_content(entry: Entry | None, current: ObjectId) -> bool:
    """Whether the current object has the content that an entry is about, by its ETag and size."""
    known = entry.identity if entry else None
    return known is not None and (known.etag, known.size) == (current.etag, current.size)


def _is_same_object(old: Record, new: Entry | None, current: ObjectId) -> bool:
    """Whether the current object is the one of an old record."""
    if _has_content(old, current):
        return True
    # Other parts of an upload give another ETag for the same content.
    if not isinstance(new, Record) or new.identity != current:
        return False
    then, now = old.record, new.record
    # The uploader of other content may have stated this SHA-256.  Its MD5 is usually an ETag.
    md5_differs = then.get("md5") and now.get("md5") and then["md5"] != now["md5"]
    return (
        then.get("sha256") is not None and then["sha256"] == now.get("sha256") and not md5_differs
    )


def _restored(old: Record, new: Entry | None, current: ObjectId) -> Record | None:
    """The old record, about the current object; ``None`` to leave what the catalog has of that.

    The same content may have been uploaded again, with a statement of another digest.  Reconcile
    hashes each upload once, so no false digest may come under the identity of an upload that was
    checked.  Of two statements one is false, and that of the current object counts.  Where nothing
    is known of it, the record stays one of the earlier object, and reconcile has the current one
    read.
    """
    if is_of_uploader(old.digests_from, "sha256") and _has_content(old, current):
        sha256 = _digest_of(new, current)
        if sha256 is UNSET:
            return old
        if sha256 != old.record.get("sha256"):
            return None
    return msgspec.structs.replace(old, identity=current)


def _digest_of(entry: Entry | None, current: ObjectId) -> str | UnsetType:
    """What the catalog knows of the digest of the current object."""
    if isinstance(entry, Pin) and entry.identity == current:
        return entry.sha256
    return known_sha256(entry, current)


class _RollbackPlan:
    """The plan of a rollback, from the newest head that was read."""

    def __init__(self, channel: Channel, subdir: Subdir, to: GenerationRef, reason: str) -> None:
        self._channel = channel
        self._subdir = subdir
        self._to = to
        self._reason = reason
        self._snapshot: HeadSnapshot
        self._commit: Commit
        self._name_plans: dict[str, NameRollback] = {}
        self._waiting: list[str] = []

    def edit(self, snapshot: HeadSnapshot) -> CommitEdit:
        """See ``EditFunction``."""
        commit = find_commit(self._channel, self._subdir, snapshot.head, self._to)
        self._snapshot, self._commit = snapshot, commit
        self._name_plans = self._plan_names(
            OldGeneration(self._channel, self._subdir, commit, snapshot.catalog)
        )
        self._waiting = self._find_waiting()
        return CommitEdit(
            {name: turn.edits for name, turn in self._name_plans.items() if turn.edits},
            Amendment(
                reason=self._reason,
                rolled_back_to=commit.generation,
                pinned=self._files("pinned"),
            ),
        )

    def report(self, generation: int | None) -> Rollback:
        """The result of the rollback."""
        return Rollback(
            subdir=self._subdir.name,
            rolled_back_from=self._snapshot.head.generation,
            rolled_back_to=self._commit.generation,
            to_committed_at=self._commit.at,
            generation=generation,
            restored=self._files("restored"),
            pinned=self._files("pinned"),
            gone=self._files("gone"),
            changed=self._files("changed"),
            waiting=self._waiting,
        )

    def _plan_names(self, old: OldGeneration) -> dict[str, NameRollback]:
        """The edits by package name."""
        names = list(changed_names(old.tree(), self._snapshot.tree))
        then = old.entries(names)
        now = dict(self._snapshot.entries(*names))
        differing = [file for name in names for file in _differing_files(then[name], now[name])]
        objects = self._look_up_objects(
            [file for file in differing if file.endswith(PACKAGE_SUFFIXES)]
        )
        summary = (
            f"Rolled back to generation {self._commit.generation}, "
            f"{format_time(commit_time(self._commit))}."
        )
        reason, at = f"{summary} {self._reason}".strip(), self._channel.clock()
        return {
            name: plan_name_rollback(then[name], now[name], objects, at=at, reason=reason)
            for name in names
        }

    def _look_up_objects(self, filenames: Collection[str]) -> Mapping[str, ObjectId | None]:
        lookup = ObjectLookup(self._channel.public, self._subdir, self._channel.executor)
        lookup.prefetch(filenames, files=self._snapshot.tree.files)
        return lookup.resolve(filenames)

    def _find_waiting(self) -> list[str]:
        """The files in staging that the catalog does not know."""
        staged = self._channel.state.list(self._subdir.staging_prefix)
        names = {self._subdir.staged_filename(info.key) for info in staged}
        files = sorted(name for name in names if name and name.endswith(PACKAGE_SUFFIXES))
        known = dict(self._snapshot.entries(*{package_name(file) for file in files}))
        return [file for file in files if file not in known[package_name(file)]]

    def _files(self, kind: str) -> list[str]:
        return sorted(file for plan in self._name_plans.values() for file in getattr(plan, kind))
