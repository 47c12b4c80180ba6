"""The staging log: one record per event that extract has resolved.

Records are append-only, each under its own key.  A merge deletes exactly the keys that it read.  A
record is a claim about one version of an object, not an order: merge checks the object again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.file_warnings import FileWarning
from sluice.concurrency import Executor
from sluice.conda.timestamps import EpochMs
from sluice.errors import DECODE_ERRORS, Corrupt, TooNew
from sluice.layout import Subdir
from sluice.limits import (
    KEYS_PER_PAGE,
    MERGE_BATCH_BYTES_MAX,
    MERGE_BATCH_RECORDS_MAX,
    PUBLISHING_SECONDS_MAX,
)
from sluice.storage import object_headers
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectInfo, ObjectStore, StoredObject

FORMAT = 2
"""The format that this version writes and reads.  Format 2 added ``ConfigChanged``; all else is as
in 1."""


class _StagingBase(msgspec.Struct, frozen=True, kw_only=True, tag_field="verdict"):
    filename: str
    extractor: int
    """Version of the extractor that made this verdict."""
    at: EpochMs
    """Time of staging; it only breaks ties."""
    format: int = 1


class Indexed(_StagingBase, frozen=True, kw_only=True, tag="indexed"):
    """The object is a valid package."""

    identity: ObjectId
    record: dict[str, Any]
    """The repodata record, without ``indexed_timestamp`` (CEP 36, CEP 47)."""
    digests_from: dict[str, str | None]
    """The sources of ``sha256`` and ``md5``: ``s3``, ``uploader``, ``read``, ``etag``; ``None`` if
    there is no MD5 without a download."""
    run_exports: Any = None
    """``info/run_exports.json`` unchanged (CEP 12), for ``run_exports.json``."""
    channeldata: dict[str, Any] = msgspec.field(default_factory=dict)
    """The fields of ``about.json`` and ``paths.json`` that ``channeldata.json`` (CEP 38) needs."""
    warnings: tuple[FileWarning, ...] | UnsetType = UNSET
    """Problems that leave the package in the index; absent if there are none."""

    def __post_init__(self) -> None:
        """Refuse what the catalog could not use; msgspec turns this into a decoding error."""
        if not isinstance(self.record.get("sha256"), str):
            raise TypeError("a record without its sha256")


class Removed(_StagingBase, frozen=True, kw_only=True, tag="removed"):
    """The object does not exist."""


class Rejected(_StagingBase, frozen=True, kw_only=True, tag="rejected"):
    """The object can never be indexed as it is."""

    identity: ObjectId
    code: str
    sentence: str
    sha256: str | UnsetType = UNSET
    """The object's SHA-256, if it was read before the package turned out to break a rule."""


class ConfigChanged(_StagingBase, frozen=True, kw_only=True, tag="reconsidered"):
    """The configuration or patches of the channel may have changed, and must be read again.

    ``filename`` is that of the configuration.  A sluice that does not know this record keeps it for
    one that does.
    """

    format: int = FORMAT


FileVerdict = Indexed | Removed | Rejected
StagingRecord = FileVerdict | ConfigChanged


class _AnyFormat(msgspec.Struct):
    format: int


_decoder: msgspec.json.Decoder[StagingRecord] = msgspec.json.Decoder(StagingRecord)
_format_decoder = msgspec.json.Decoder(_AnyFormat)


def encode_staging_record(record: StagingRecord) -> bytes:
    """Serialize one record."""
    return msgspec.json.encode(record, order="deterministic")


def decode_staging_record(body: bytes) -> StagingRecord:
    """Parse one record; raises ``TooNew`` for a later format and ``Corrupt`` for anything else."""
    try:
        version = _format_decoder.decode(body).format
        if version > FORMAT:
            raise TooNew(
                f"the staging record has format {version}, but this version of sluice reads "
                f"formats up to {FORMAT}"
            )
        return _decoder.decode(body)
    except DECODE_ERRORS as error:
        raise Corrupt(f"not a staging record: {error}") from error


def write_staging_record(
    state: ObjectStore, subdir: Subdir, record: StagingRecord, *, unique_id: str
) -> None:
    """Append one record to the log of its subdir."""
    state.put(
        subdir.staging_key(record.filename, unique_id),
        encode_staging_record(record),
        object_headers.PRIVATE_JSON_HEADERS,
    )


@runtime_checkable
class HoldsStaged(Protocol):
    """A state bucket that holds some staging records in memory."""

    def held(self, key: str) -> StoredObject | None:
        """The record under a key, if it is in memory."""
        ...


@dataclass(frozen=True, slots=True)
class StagingBatch:
    """A bounded part of a subdir's log, in key order."""

    records: list[StagingRecord]
    consumed: list[str]
    """Keys of ``records``: delete them after publishing."""
    unreadable: list[tuple[str, bytes]]
    """Keys and bodies that cannot be decoded: set them aside, never delete them."""
    too_new: int
    """Number of records that a newer sluice wrote; they stay in the log."""
    resume_after: str | None
    """The key after which the next batch starts; ``None`` on the last batch."""


def is_being_merged(staged: Iterable[ObjectInfo], *, now_ms: EpochMs) -> bool:
    """Whether records are staged, and none for longer than a merge may take to come.

    Their merge was requested, and publishes everything.  ``staged``: the records as listed; only
    the first page of them counts.
    """
    first_page = islice(staged, KEYS_PER_PAGE)
    oldest = min((info.modified for info in first_page), default=None)
    return oldest is not None and now_ms - oldest * 1000 < PUBLISHING_SECONDS_MAX * 1000


def read_staging_batch(
    state: ObjectStore,
    subdir: Subdir,
    *,
    executor: Executor,
    after: str | None = None,
    records_max: int | None = None,
    on_listed: Callable[[Collection[str]], None] = lambda _filenames: None,
) -> StagingBatch:
    """List and read the next bounded batch of the log.

    ``on_listed`` is called before the records are read, with the filenames that their keys show.
    """
    listed, resume_after = _take_batch(
        state.list(subdir.staging_prefix, after=after), records_max or MERGE_BATCH_RECORDS_MAX
    )
    filenames = {subdir.staged_filename(info.key) for info in listed}
    on_listed(sorted(filter(None, filenames)))
    records: list[StagingRecord] = []
    consumed: list[str] = []
    unreadable: list[tuple[str, bytes]] = []
    too_new = 0
    for stored in _read_all(state, [info.key for info in listed], executor):
        if stored is None:  # another merge was faster
            continue
        try:
            records.append(decode_staging_record(stored.body))
        except TooNew:
            too_new += 1
        except Corrupt:
            unreadable.append((stored.info.key, stored.body))
        else:
            consumed.append(stored.info.key)
    return StagingBatch(records, consumed, unreadable, too_new, resume_after)


def _read_all(
    state: ObjectStore, keys: list[str], executor: Executor
) -> Iterator[StoredObject | None]:
    """Read the records, in the order of their keys."""
    held: dict[str, StoredObject | None] = {}
    if isinstance(state, HoldsStaged):
        # A thread for each would take longer than all else about them.
        held = {key: record for key in keys if (record := state.held(key))}
    requested = [key for key in keys if key not in held]
    read = dict(zip(requested, executor.map(state.get, requested), strict=True))
    for key in keys:
        yield held[key] if key in held else read[key]


def set_aside_unreadable(
    state: ObjectStore, subdir: Subdir, unreadable: list[tuple[str, bytes]]
) -> None:
    """Move undecodable records out of the log, where every merge would read them again."""
    for key, body in unreadable:
        state.put(subdir.unreadable_staging_key(key), body, object_headers.PRIVATE_JSON_HEADERS)
    if unreadable:
        state.delete([key for key, _ in unreadable])


def _take_batch(
    listing: Iterator[ObjectInfo], records_max: int
) -> tuple[list[ObjectInfo], str | None]:
    batch: list[ObjectInfo] = []
    size = 0
    for info in listing:
        # At least one record is always included, however large; the LIST page is read to its end.
        if batch and (len(batch) == records_max or size + info.size > MERGE_BATCH_BYTES_MAX):
            return batch, batch[-1].key
        batch.append(info)
        size += info.size
    return batch, None
