"""The index that was in a subdir before sluice: the base of its first public generation.

Sluice never publishes less than what is already there.  One upload into a channel of 2,000 packages
that another tool has indexed must not publish an index of one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import UNSET

from sluice import zstd
from sluice.catalog.brake import exceeds_removal_limit
from sluice.catalog.entry import NOT_EXTRACTED, CarriedRecord, Entry, Pin, Record, Reject
from sluice.catalog.file_warnings import (
    RECORD_LEFT_OUT,
    RUN_EXPORTS_UNREADABLE,
    FileWarning,
    make_file_warning,
)
from sluice.concurrency import Executor
from sluice.conda import record_fields
from sluice.conda.names import PACKAGE_SUFFIXES, catalog_name, package_name
from sluice.conda.revision import V3, required_revision
from sluice.conda.run_exports import NO_RUN_EXPORTS, interpret_run_exports
from sluice.conda.timestamps import EpochMs
from sluice.errors import DECODE_ERRORS, Corrupt, ForeignOwner
from sluice.layout import (
    FROM_PACKAGES,
    REPODATA,
    REPODATA_ZST,
    RUN_EXPORTS,
    SHARD_INDEX,
    Subdir,
    is_key_text,
)
from sluice.limits import REJECT_PROBLEMS_MAX
from sluice.publish.fence import Stamp
from sluice.storage.missing_objects import confirm_listing, head_packages
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectInfo, ObjectStore
from sluice.takeover import foreign_formats
from sluice.takeover.foreign_formats import BucketRecord, ForeignIndex
from sluice.takeover.normalize import NormalizedRecord, change_warnings, normalize_record

_DASHES_MIN = 2
_WHEELS = "whl"


@dataclass(frozen=True, slots=True)
class ExistingIndex:
    """Another tool's index, grouped by package name, with the records as raw JSON."""

    generation: int = 0
    """The highest generation of any index file there; 0 if none is sluice's."""
    names: Mapping[str, Mapping[str, msgspec.Raw | BucketRecord | None]] = field(
        default_factory=dict
    )
    """By filename: the record, or ``None`` if the index lists the file as removed."""
    v3: frozenset[str] = frozenset()
    """Files whose records are only in revision 3 (CEP 48)."""
    run_exports: Mapping[str, Any] = field(default_factory=dict)
    """Run exports by filename, in any form."""
    unpatched: Mapping[str, msgspec.Raw] = field(default_factory=dict)
    """By filename: the record before it was patched, see ``with_unpatched``."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """The channel's part of ``info``."""
    listing: Mapping[str, ObjectId] = field(default_factory=dict)
    """The objects in the subdir's folder, by filename."""
    absent: frozenset[str] = frozenset()
    """Files that do not exist, but whose records are taken over: so many that their removal must
    wait (``brake``), until the next comparison handles them."""
    shard_index: bytes | None = None
    """The current shard index."""

    @property
    def record_count(self) -> int:
        """Number of records in the index, except those whose packages are gone."""
        return sum(raw is not None for files in self.names.values() for raw in files.values())

    def entries(self, name: str, *, at: EpochMs) -> dict[str, Entry]:
        """The files of one name as entries of a commit at ``at`` (ms).

        Records are marked to be read again.  A record that clients could not read is left out, with
        a warning, and its file is read as if no index had it.
        """
        entries = {
            filename: self._entry(filename, raw, at)
            for filename, raw in self.names.get(name, {}).items()
        }
        return {filename: entry for filename, entry in entries.items() if entry}

    def digest(self, name: str) -> bytes:
        """A digest of everything that the entries of a name are made of, except their time."""
        digest = sha256()
        for filename, raw in sorted(self.names.get(name, {}).items()):
            bucket, record = raw if isinstance(raw, BucketRecord) else (None, raw)
            made_of = (
                filename,
                raw is None,  # told from a record that is null
                bucket,
                record,
                filename in self.v3,
                self.listing.get(filename),
                self.run_exports.get(filename),
                self.unpatched.get(filename),
            )
            digest.update(msgspec.json.encode(made_of))
        return digest.digest()

    def _entry(
        self, filename: str, raw: msgspec.Raw | BucketRecord | None, at: EpochMs
    ) -> Entry | None:
        match raw:
            case BucketRecord():
                return _carried_record(filename, raw, at)
            case None if filename not in self.unpatched or filename not in self.listing:
                return self._pin(filename, at)
            case None:  # the patch removed it, and will do so again
                return self._record(filename, self.unpatched[filename], at)
            case _:
                return self._record(filename, raw, at)

    def _record(self, filename: str, raw: msgspec.Raw, at: EpochMs) -> Record | Reject | None:
        published = _normalize(filename, raw)
        if published.record is None:
            identity = self.listing.get(filename)
            return _left_out(filename, identity, published, at) if identity else None
        normalized = self._unpatched_record(filename, published)
        record, warnings = normalized.record or {}, change_warnings(filename, normalized)
        identity = self.listing.get(filename) or ObjectId.placeholder(
            at=at, size=record.get("size") or 0
        )
        if not _is_timestamp(record.get("indexed_timestamp")):
            # CEP 47: preserve an existing date.  An artifact that predates the field MAY be dated
            # by another signal of the server, here the time of its upload, or that of the commit if
            # the file does not exist.
            record["indexed_timestamp"] = identity.modified * 1000
        if filename in self.v3 and required_revision(record) < V3:
            record["repodata_revision"] = V3  # requested by its package, or by its indexer
        run_exports = record.pop("run_exports", None)
        if run_exports is None:
            run_exports = self.run_exports.get(filename)
        exported = NO_RUN_EXPORTS if run_exports is None else interpret_run_exports(run_exports)
        if exported.problem:
            warnings.append(_run_exports_warning(filename, exported.problem))
        return Record(
            identity=identity,
            extractor=NOT_EXTRACTED,
            record=record,
            run_exports=exported.groups,
            warnings=tuple(warnings) or UNSET,
        )

    def _unpatched_record(self, filename: str, published: NormalizedRecord) -> NormalizedRecord:
        raw = self.unpatched.get(filename)
        unpatched = _normalize(filename, raw) if raw else None
        of_published = published.record or {}
        if (
            unpatched is None
            or unpatched.record is None
            or unpatched.record.get("sha256") != of_published.get("sha256")
        ):
            return published  # that file is another tool's as well, and may be older
        date = of_published.get("indexed_timestamp")
        if not _is_timestamp(date):
            return unpatched
        return unpatched._replace(record={**unpatched.record, "indexed_timestamp": date})

    def _pin(self, filename: str, at: EpochMs) -> Pin:
        # Its file may still exist (CEP 36), and must not come back when it is listed.
        return Pin(
            identity=self.listing.get(filename),
            extractor=NOT_EXTRACTED,
            at=at,
            reason="The index that sluice took over lists it under removed.",
        )


def read_existing_index(
    channel: ObjectStore, subdir: Subdir, executor: Executor, brake_days: int
) -> ExistingIndex:
    """List the subdir and read the current index, if there is one.

    Records whose files do not exist are left out, unless there are so many that their removal must
    wait: then they are taken over.  ``brake_days``: for how long; 0: no wait.

    Raises ``Corrupt`` if the index cannot be taken over completely, ``BrokenListing`` if a file
    exists that the listing does not show, and ``ForeignOwner`` if the index is a snapshot's, which
    stays as it is.
    """
    listing = _list_folder(channel, subdir)
    key, key_zst, key_shards = map(subdir.file_key, (REPODATA, REPODATA_ZST, SHARD_INDEX))
    index = channel.get(key) if REPODATA in listing else None
    compressed = channel.head(key_zst) if REPODATA_ZST in listing else None
    shards = channel.get(key_shards) if SHARD_INDEX in listing else None
    published = [index.info if index else None, compressed, shards.info if shards else None]
    _refuse_snapshot(published)
    foreign = ForeignIndex()
    if index is not None:
        foreign = foreign_formats.parse_repodata(index.body, source=key)
    elif compressed is not None and (packed := channel.get(key_zst)):
        foreign = foreign_formats.parse_repodata(zstd.decompress(packed.body), source=key_zst)
    if not (foreign.records or foreign.bucket_records) and shards is not None:
        # A channel with only shards may have an empty repodata.json, because CEP 26 requires one.
        foreign = _read_shards(channel, subdir, shards.body, executor)
    if foreign.base_url:
        _check_files_here(foreign, listing, subdir)
    return replace(
        build_existing_index(
            foreign,
            listing,
            find_existing=partial(head_packages, channel, subdir, executor),
            list_again=partial(_list_folder, channel, subdir),
            label=subdir.prefix,
            brake_days=brake_days,
        ),
        generation=_highest_generation(published),
        run_exports=_read_run_exports(channel, subdir) if RUN_EXPORTS in listing else {},
        info=foreign.info,
        shard_index=shards.body if shards else None,
    )


def build_existing_index(
    foreign: ForeignIndex,
    listing: Mapping[str, ObjectId],
    *,
    find_existing: Callable[[Sequence[str]], Mapping[str, ObjectId]],
    list_again: Callable[[], Mapping[str, ObjectId]],
    label: str,
    brake_days: int,
) -> ExistingIndex:
    """Build the existing index from the published index of a subdir and its ``listing``.

    See ``read_existing_index``, and ``confirm_listing`` for ``find_existing``, ``list_again`` and
    ``label``.
    """
    listed = confirm_listing(
        listing,
        partial(_missing_files, foreign),
        find_existing=find_existing,
        list_again=list_again,
        label=label,
    )
    missing = _missing_files(foreign, listed)
    absent: frozenset[str] = frozenset()
    if brake_days and exceeds_removal_limit(len(missing), len(foreign.records)):
        absent = frozenset(
            file for file in missing if _normalize(file, foreign.records[file]).record is not None
        )
    return ExistingIndex(
        names=_group_by_name(foreign, {*listed, *absent}),
        v3=foreign.v3,
        listing=listed,
        absent=absent,
    )


def with_unpatched(index: ExistingIndex, channel: ObjectStore, subdir: Subdir) -> ExistingIndex:
    """Replace the records by those from before patching, as far as these are published.

    For a channel with an active patch: with it, clients see the same as before, and reverting the
    patch undoes it.  Without a patch, records stay as clients see them until their packages are
    read.
    """
    if FROM_PACKAGES not in index.listing:
        return index
    key = subdir.file_key(FROM_PACKAGES)
    stored = channel.get(key)
    try:
        foreign = foreign_formats.parse_repodata(stored.body if stored else b"", source=key)
    except Corrupt:
        return index  # no client reads that file, so its errors must not block the index
    return replace(index, unpatched=foreign.records, v3=index.v3 | foreign.v3)


def _read_run_exports(channel: ObjectStore, subdir: Subdir) -> dict[str, Any]:
    key = subdir.file_key(RUN_EXPORTS)
    stored = channel.get(key)
    try:
        return foreign_formats.parse_run_exports(stored.body if stored else b"{}", source=key)
    except Corrupt:
        return {}  # the index itself is sound, and run exports will come from the packages


def _read_shards(
    channel: ObjectStore, subdir: Subdir, body: bytes, executor: Executor
) -> ForeignIndex:
    index = foreign_formats.parse_shard_index(body, source=subdir.file_key(SHARD_INDEX))
    shards = executor.map(partial(_read_shard, channel), map(subdir.file_key, index.shards))
    return foreign_formats.merge_shards(shards, index.info)


def _read_shard(channel: ObjectStore, key: str) -> ForeignIndex:
    stored = channel.get(key)
    # A missing shard was of no use to any client.
    return foreign_formats.parse_shard(stored.body, source=key) if stored else ForeignIndex()


def _refuse_snapshot(infos: Iterable[ObjectInfo | None]) -> None:
    for info in filter(None, infos):
        stamp = Stamp.parse(info.metadata)
        if stamp and stamp.is_of_snapshot:
            raise ForeignOwner(
                f"{info.key} is a {stamp.owner}, which never changes: delete the objects that were "
                "uploaded into it, or the whole snapshot"
            )


def _list_folder(channel: ObjectStore, subdir: Subdir) -> dict[str, ObjectId]:
    return {
        filename: ObjectId.from_info(info)
        for info in channel.list(subdir.prefix, delimiter="/")
        if is_key_text(filename := info.key.removeprefix(subdir.prefix))
    }


def _missing_files(foreign: ForeignIndex, listing: Mapping[str, ObjectId]) -> list[str]:
    return [filename for filename in foreign.records if filename not in listing]


def _check_files_here(index: ForeignIndex, listing: Mapping[str, ObjectId], subdir: Subdir) -> None:
    elsewhere = sorted(index.records.keys() - listing.keys())
    if elsewhere:
        raise Corrupt(
            f"the existing index has the base_url {index.base_url} (CEP 15), and "
            f"{len(elsewhere)} of its packages are not in {subdir.prefix}, so it was not changed: "
            f"{', '.join(elsewhere[:REJECT_PROBLEMS_MAX])}"
        )


def _group_by_name(
    foreign: ForeignIndex, filenames: Collection[str]
) -> dict[str, dict[str, msgspec.Raw | BucketRecord | None]]:
    """Group the records of the wanted files, and the removed files.

    Records of missing files are left out, unless the brake applies: a merge before this one may
    already have consumed the records of their removal.
    """
    names: dict[str, dict[str, msgspec.Raw | BucketRecord | None]] = {}
    for filename in sorted(foreign.removed):
        if name := package_name(filename):  # nothing else was ever a package
            names.setdefault(name, {})[filename] = None
    for filename, raw in foreign.records.items():
        if filename in filenames:
            names.setdefault(package_name(filename), {})[filename] = raw
    for filename, bucket_record in foreign.bucket_records.items():
        names.setdefault(_bucket_record_name(bucket_record), {})[filename] = bucket_record
    return names


def _bucket_record_name(bucket_record: BucketRecord) -> str:
    record = _normalize_bucket_record(bucket_record).record or {}
    name = record.get("name")
    return catalog_name(name) if isinstance(name, str) else ""


def _carried_record(
    filename: str, bucket_record: BucketRecord, at: EpochMs
) -> CarriedRecord | Reject | None:
    normalized = _normalize_bucket_record(bucket_record)
    record = normalized.record
    if record is None:
        return _left_out(filename, None, normalized, at)
    if not _is_timestamp(record.get("indexed_timestamp")):
        record.pop("indexed_timestamp", None)
    return CarriedRecord(
        identity=None,
        extractor=NOT_EXTRACTED,
        bucket=bucket_record.bucket,
        record=record,
        warnings=tuple(change_warnings(filename, normalized)) or UNSET,
    )


def _left_out(
    filename: str, identity: ObjectId | None, normalized: NormalizedRecord, at: EpochMs
) -> Reject:
    """The note that a record could not be taken over; any verdict on its package replaces it."""
    warning = make_file_warning(
        RECORD_LEFT_OUT,
        f"{filename}: the index omits its record from the index that sluice took over, because "
        f"clients cannot read it: {normalized.problem}.",
    )
    return Reject(
        identity=identity,
        extractor=NOT_EXTRACTED,
        code=warning.code,
        sentence=warning.sentence,
        at=at,
    )


def _run_exports_warning(filename: str, problem: str) -> FileWarning:
    return make_file_warning(
        RUN_EXPORTS_UNREADABLE,
        f"{filename}: its run exports in the index that sluice took over are not valid: "
        f"{problem}. The index omits them until the package is read.",
    )


def _is_timestamp(value: object) -> bool:
    return record_fields.FIELD_RULES["timestamp"].accepts(value)


def _is_splittable(filename: str) -> bool:
    """Whether a filename can be parsed: rattler reads no index with one that cannot."""
    return filename.endswith(PACKAGE_SUFFIXES) and filename.count("-") >= _DASHES_MIN


def _normalize(filename: str, raw: msgspec.Raw) -> NormalizedRecord:
    if not _is_splittable(filename):
        return NormalizedRecord(None, problem="its filename is not one of a package")
    return normalize_record(raw, filename=filename)


def _normalize_bucket_record(bucket_record: BucketRecord) -> NormalizedRecord:
    """Of buckets that no client reads yet, nobody knows what a record may have.

    Nor does any CEP say which keys that of a wheel must have.
    """
    if bucket_record.bucket == _WHEELS:
        return normalize_record(bucket_record.record, filename=None, required=())
    try:
        record = msgspec.json.decode(bucket_record.record, type=dict[str, Any])
    except DECODE_ERRORS:
        return NormalizedRecord(None, problem="it is not an object")
    reason = record_fields.unpublishable_reason(record)
    return NormalizedRecord(None if reason else record, problem=f"it {reason}" if reason else None)


def _highest_generation(infos: Iterable[ObjectInfo | None]) -> int:
    stamps = (Stamp.parse(info.metadata) for info in infos if info)
    return max((stamp.generation for stamp in stamps if stamp), default=0)
