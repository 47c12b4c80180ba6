"""The effect of a batch of staging records on the entries of the catalog.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sluice.catalog.entry import (
    ARCHIVED_CODE,
    NOT_EXTRACTED,
    CarriedRecord,
    Entries,
    Entry,
    Pin,
    Record,
    Reject,
    is_rejected,
    stored_warnings,
)
from sluice.catalog.file_warnings import RECORD_KEPT, FileWarning, make_file_warning
from sluice.conda.timestamps import EpochMs, timestamp_warning
from sluice.extract.staging import FileVerdict, Indexed, Rejected, Removed, encode_staging_record
from sluice.limits import REJECT_SENTENCES_PER_NAME_MAX
from sluice.storage.object_id import ObjectId
from sluice.takeover.normalize import change_warnings, normalize_record

Verdict = Indexed | Rejected
_ATTESTATIONS = "attestations_sha256"
RULE_REJECT_CODES = frozenset(
    {
        # record: what index.json and the filename may contain
        "condition-outdated",
        "filename-invalid",
        "filename-mismatch",
        "index-json-incomplete",
        "index-json-unpublishable",
        "index-json-wrong-type",
        "record-too-large",
        "repodata-revision-contradicted",
        "repodata-revision-unsupported",
        "subdir-mismatch",
        "version-invalid",
        # package: a renamed file, and the limits on what is read
        "conda-member-misnamed",
        "index-json-too-deep",
        "index-json-too-large",
        "info-too-large",
        "tar-too-many-members",
        "unpacking-too-slow",
    }
)
"""Codes of rejects for a package that is intact, but breaks a rule for new packages."""

Verdicts = Mapping[str, Verdict | None]
"""By filename: the verdict on the current object; ``None``: the object is gone."""
EntryEdits = Mapping[str, Entry | None]
"""By filename: the entry that a person wants; ``None``: no entry."""


def resolve_verdicts(
    records: Iterable[FileVerdict], observed: Mapping[str, ObjectId | None]
) -> Verdicts:
    """Compare the records with the current objects (``observed``, by filename).

    No object: it is gone, whatever the records say.  An object with the identity of a record: the
    best verdict with that identity.  An object with another identity: the records are stale, its
    own event is still to come, and there is no verdict.
    The result does not depend on the order of the records, nor on repeats.
    """
    verdicts: dict[str, Verdict | None] = {
        filename: None for filename, identity in observed.items() if identity is None
    }
    for record in records:
        if isinstance(record, Removed) or record.identity != observed[record.filename]:
            continue
        best = verdicts.get(record.filename)
        if best is None or _precedence(record) > _precedence(best):
            verdicts[record.filename] = record
    return verdicts


def without_restored(
    verdicts: Verdicts, restored: Callable[[Iterable[str]], Collection[str]]
) -> Verdicts:
    """The verdicts without those on archived objects that are ``restored`` by now.

    A restored object has the identity of the archived one, so a verdict that waited in the log
    would take it out of the index again.
    """
    archived = [
        filename
        for filename, verdict in verdicts.items()
        if isinstance(verdict, Rejected) and verdict.code == ARCHIVED_CODE
    ]
    if not archived:
        return verdicts
    outdated = restored(archived)
    return {file: verdict for file, verdict in verdicts.items() if file not in outdated}


def apply_verdicts(entries: Entries, verdicts: Verdicts, *, at: EpochMs) -> dict[str, Entry]:
    """The entries of one package name after ``verdicts``, in a commit at ``at`` (ms)."""
    after = dict(entries)
    for filename, verdict in verdicts.items():
        if verdict is None:
            after.pop(filename, None)
        else:
            after[filename] = _judge(entries.get(filename), verdict, at=at)
    _drop_excess_sentences(after, verdicts.keys())
    return after


def limit_new_rejects(
    before: Entries, after: Entries, *, room: int
) -> tuple[Mapping[str, Entry], int]:
    """Leave out rejects of files that had no entry, beyond ``room``; returns how many, too.

    A file that is in the index leaves it in any case.
    """
    new = sorted(
        filename
        for filename, entry in after.items()
        if isinstance(entry, Reject) and filename not in before
    )
    left_out = frozenset(new[max(room, 0) :])
    if not left_out:
        return after, 0
    kept = {filename: entry for filename, entry in after.items() if filename not in left_out}
    return kept, len(left_out)


def apply_edits(entries: Entries, edits: EntryEdits) -> dict[str, Entry]:
    """The entries of one package name after a person's edits."""
    after = {**entries, **edits}
    return {filename: entry for filename, entry in after.items() if entry is not None}


def overlay_existing(existing: Entries, entries: Entries) -> dict[str, Entry]:
    """Overlay sluice's entries of one name over those of the index that was there before.

    A record of that index wins if sluice knows only another object, or only that the package could
    not be read.  Otherwise the package would leave the index and lose its date (CEP 47).  Fields
    that only other tools fill keep their values.
    """
    known = {**existing, **entries}
    for filename in existing.keys() & entries.keys():
        record, entry = existing[filename], entries[filename]
        if record.identity and record.identity.is_placeholder:
            continue  # for files that do not exist, sluice knows more
        outdated = record.identity != entry.identity
        unjudged = _rank(record) > _rank(entry) and not isinstance(entry, Pin)
        better = isinstance(record, Record) and (outdated or unjudged)
        if better or (isinstance(record, CarriedRecord) and isinstance(entry, CarriedRecord)):
            known[filename] = record
    return known


@dataclass(slots=True)
class CommitChanges:
    """What a commit changed, as filenames in order."""

    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """Files that left the index: deleted, or overwritten by a rejected package."""
    rejected: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    """Added or replaced files that were built after they were indexed, by their own dates (CEP
    47)."""
    noted: list[str] = field(default_factory=list)
    """Files with another warning that is new."""
    rejects_changed: bool = False

    def extend(self, later: CommitChanges) -> None:
        """Add the changes of a later commit."""
        self.added += later.added
        self.replaced += later.replaced
        self.removed += later.removed
        self.rejected += later.rejected
        self.warned += later.warned
        self.noted += later.noted
        self.rejects_changed |= later.rejects_changed

    def add_entries(self, before: Entries, after: Entries) -> None:
        """Add the changes to the files of one package name."""
        for filename in sorted(before.keys() | after.keys()):
            old, new = before.get(filename), after.get(filename)
            if old == new:
                continue
            match old, new:
                case Record(), Record():
                    self.replaced.append(filename)
                case _, Record():
                    self.added.append(filename)
                case Record(), _:
                    self.removed.append(filename)
            if is_rejected(new):
                self.rejected.append(filename)
            if isinstance(new, Record) and timestamp_warning(new.record):
                self.warned.append(filename)
            if set(stored_warnings(new)) - set(stored_warnings(old)):
                self.noted.append(filename)
            self.rejects_changed |= isinstance(old, Reject) or isinstance(new, Reject)


def _drop_excess_sentences(entries: dict[str, Entry], candidates: Collection[str]) -> None:
    """Keep the sentences of so many rejects only; ``candidates`` are those that may lose theirs."""
    with_sentence = {
        filename: entry
        for filename, entry in entries.items()
        if isinstance(entry, Reject) and entry.sentence
    }
    excess = len(with_sentence) - REJECT_SENTENCES_PER_NAME_MAX
    if excess <= 0:
        return
    for filename in sorted(with_sentence.keys() & candidates, reverse=True)[:excess]:
        entries[filename] = msgspec.structs.replace(with_sentence[filename], sentence="")


def _judge(old: Entry | None, verdict: Verdict, *, at: EpochMs) -> Entry:
    """The entry for the object of ``verdict``, given the previous entry ``old``."""
    if old is not None and old.identity == verdict.identity:
        # For the same object, a pinned-out file stays out, and a new verdict must be better, or
        # the object must be in another state than when it was judged.
        is_new = (
            _rank(old) < _rank(verdict)
            or _was_retried(old, verdict)
            or _was_archived(old, verdict)
            or _was_restored(old, verdict)
        )
        if isinstance(old, Pin) or not is_new:
            return old
        if isinstance(old, Record) and _keeps_taken_over_record(old, verdict):
            kept = _kept_record(old, verdict)
            if kept is not None:
                return kept
    if isinstance(verdict, Rejected):
        return Reject(
            identity=verdict.identity,
            extractor=verdict.extractor,
            code=verdict.code,
            sentence=verdict.sentence,
            at=at,
        )
    return Record(
        identity=verdict.identity,
        extractor=verdict.extractor,
        record={
            **_attestations(old, verdict),
            **verdict.record,
            "indexed_timestamp": _indexed_timestamp(old, verdict, at=at),
        },
        digests_from=verdict.digests_from,
        run_exports=verdict.run_exports,
        channeldata=verdict.channeldata,
        warnings=verdict.warnings,
    )


def _was_retried(old: Entry, verdict: Verdict) -> bool:
    """Whether an unreadable object was tried again since: its date then says so.

    A record that a merge sees for the second time was staged earlier.
    """
    return (
        isinstance(old, Reject)
        and isinstance(verdict, Rejected)
        and old.extractor == verdict.extractor == NOT_EXTRACTED
        and verdict.at > old.at
    )


def _was_archived(old: Entry, verdict: Verdict) -> bool:
    """Whether an object was archived since it was indexed, so that clients get 403 for it.

    Nothing else makes a later verdict on the same object worse.  ``without_restored`` has left out
    the verdicts on objects that were restored meanwhile.
    """
    return (
        isinstance(old, Record)
        and isinstance(verdict, Rejected)
        and verdict.code == ARCHIVED_CODE
        and verdict.extractor >= old.extractor
    )


def _was_restored(old: Entry, verdict: Verdict) -> bool:
    """Whether an archived object was restored since, and turns out to be bad.

    As long as its reject says that it is archived, every comparison has it read again.
    """
    return (
        isinstance(old, Reject)
        and old.code == ARCHIVED_CODE
        and isinstance(verdict, Rejected)
        and verdict.code != ARCHIVED_CODE
        and verdict.extractor >= old.extractor
    )


def _keeps_taken_over_record(old: Record, verdict: Verdict) -> bool:
    """Whether to keep a record that was taken over, after its package was read.

    Clients' lock files refer to it, so a rule that its index did not have must not remove it.  A
    package that conda-index's patch instructions revoked must stay revoked, too.
    """
    if not old.taken_over or old.identity is None or old.record.get("size") != old.identity.size:
        return False
    if isinstance(verdict, Rejected):
        known, read_sha256 = old.record.get("sha256"), verdict.sha256
        return verdict.code in RULE_REJECT_CODES and (
            not known or not read_sha256 or known == read_sha256
        )
    return bool(old.record.get("revoked")) and _same_artifact(old, verdict)


def _kept_record(old: Record, verdict: Verdict) -> Record | None:
    """The record that was taken over, after its package was read.

    ``None`` if clients cannot read it: earlier releases took such records over.
    """
    if not isinstance(verdict, Rejected):
        return msgspec.structs.replace(old, extractor=verdict.extractor)
    normalized = normalize_record(msgspec.json.encode(old.record), filename=verdict.filename)
    if normalized.record is None:
        return None
    others = [warning for warning in old.warnings or () if warning.code != RECORD_KEPT]
    return msgspec.structs.replace(
        old,
        extractor=verdict.extractor,
        record=normalized.record,
        warnings=(
            *others,
            *change_warnings(verdict.filename, normalized),
            _warning_of_kept(verdict),
        ),
    )


def _warning_of_kept(verdict: Rejected) -> FileWarning:
    sentence = (
        f"{verdict.filename} stays in the index with its record from the index that sluice took "
        f"over. sluice would reject a new upload of it, because it breaks a rule for new packages "
        f"({verdict.code})."
    )
    return make_file_warning(RECORD_KEPT, sentence)


def _attestations(old: Entry | None, verdict: Indexed) -> dict[str, Any]:
    """What another tool's index says about an artifact's attestations, which are separate files.

    Only a draft specifies them (conda/ceps#142), so sluice does not look for them, but keeps the
    field.
    """
    if isinstance(old, Record) and _ATTESTATIONS in old.record and _same_artifact(old, verdict):
        return {_ATTESTATIONS: old.record[_ATTESTATIONS]}
    return {}


def _indexed_timestamp(old: Entry | None, verdict: Indexed, *, at: EpochMs) -> EpochMs:
    # CEP 47: kept as long as the artifact is the same.  Other content under an old name is a new
    # artifact: keeping its date would let an overwritten package slip past a cooldown.
    if isinstance(old, Record) and _same_artifact(old, verdict):
        kept: int = old.record["indexed_timestamp"]
        return kept
    return at


def _same_artifact(old: Record, verdict: Indexed) -> bool:
    before, now = old.record, verdict.record
    if before.get("sha256"):
        return bool(before["sha256"] == now["sha256"])
    # In an index that was taken over: old versions of conda-index knew MD5 only.
    if before.get("size") != now["size"]:
        return False
    if before.get("md5") and now.get("md5"):
        return bool(before["md5"] == now["md5"])
    return old.identity == verdict.identity


def _rank(judged: Verdict | Entry) -> tuple[int, bool]:
    """The rank of verdicts on one object: the newer extractor wins, then indexed over rejected."""
    return judged.extractor, isinstance(judged, Indexed | Record)


def _precedence(verdict: Verdict) -> tuple[tuple[int, bool], int, bytes]:
    """``_rank``, with ties broken by the record's content: the order of arrival must not matter."""
    return _rank(verdict), verdict.at, encode_staging_record(verdict)
