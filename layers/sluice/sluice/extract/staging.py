"""The staging log: one record per event that extract has resolved.

Records are append-only, each under a key of its own; a merge deletes exactly the keys it read.
A record is a claim about one version of an object, not an order: merge looks at the object again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from sluice.concurrency import Executor
from sluice.errors import DECODE_ERRORS, Corrupt, TooNew
from sluice.layout import Subdir
from sluice.limits import MERGE_BATCH_BYTES_MAX, MERGE_BATCH_RECORDS_MAX
from sluice.storage import object_headers
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectInfo, ObjectStore

FORMAT = 2
"""What this version writes and reads: 2 brought ``ConfigChanged``, all else is as in 1."""


class _StagingBase(msgspec.Struct, frozen=True, kw_only=True, tag_field="verdict"):
    filename: str
    extractor: int
    """Version of the extractor that judged."""
    at: int
    """When it was staged, ms since the epoch; decides nothing but ties."""
    format: int = 1


class Indexed(_StagingBase, frozen=True, kw_only=True, tag="indexed"):
    """The object is a good package."""

    identity: ObjectId
    record: dict[str, Any]
    """The repodata record, without ``indexed_timestamp`` (CEP 36, CEP 47)."""
    digests_from: dict[str, str | None]
    """How ``sha256`` and ``md5`` were obtained: ``s3``, ``uploader``, ``read``, ``etag``; ``None``
    where there is no MD5 to be had without a download."""
    run_exports: Any = None
    """``info/run_exports.json`` as it is (CEP 12), for ``run_exports.json``."""
    channeldata: dict[str, Any] = msgspec.field(default_factory=dict)
    """What ``channeldata.json`` (CEP 38) needs of ``about.json`` and ``paths.json``."""

    def __post_init__(self) -> None:
        """Refuse what the catalog could not work with; msgspec makes it a decoding error."""
        if not isinstance(self.record.get("sha256"), str):
            raise TypeError("a record without its sha256")


class Removed(_StagingBase, frozen=True, kw_only=True, tag="removed"):
    """The object is not there."""


class Rejected(_StagingBase, frozen=True, kw_only=True, tag="rejected"):
    """The object can never be indexed as it is."""

    identity: ObjectId
    code: str
    sentence: str
    sha256: str | UnsetType = UNSET
    """Of the object, where it was read before the package turned out to break a rule."""


class ConfigChanged(_StagingBase, frozen=True, kw_only=True, tag="reconsidered"):
    """Configuration or patches of the channel may be other ones: look at them.

    ``filename`` is that of the configuration.  A sluice that does not know this record leaves it
    where it is, for one that does.
    """

    format: int = FORMAT


FileVerdict = Indexed | Removed | Rejected
StagingRecord = FileVerdict | ConfigChanged


class _AnyFormat(msgspec.Struct):
    format: int


_decoder: msgspec.json.Decoder[StagingRecord] = msgspec.json.Decoder(StagingRecord)
_format_decoder = msgspec.json.Decoder(_AnyFormat)


def encode_staging_record(record: StagingRecord) -> bytes:
    """Serialise one record."""
    return msgspec.json.encode(record, order="deterministic")


def decode_staging_record(body: bytes) -> StagingRecord:
    """Read one record; raises ``TooNew`` for a later format and ``Corrupt`` for anything else."""
    try:
        version = _format_decoder.decode(body).format
        if version > FORMAT:
            raise TooNew(f"staging record of format {version}, this sluice knows up to {FORMAT}")
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


@dataclass(frozen=True, slots=True)
class StagingBatch:
    """A bounded part of a subdir's log, in key order."""

    records: list[StagingRecord]
    consumed: list[str]
    """Keys of ``records``: to be deleted once they are published."""
    unreadable: list[tuple[str, bytes]]
    """Keys and bodies that nobody can read: to be set aside, never deleted."""
    too_new: int
    """How many records a newer sluice wrote; they stay where they are."""
    resume_after: str | None
    """The key behind which the next batch starts; ``None`` where this was the last."""


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

    ``on_listed`` is told, before the records are read, of the files that they are about, as far as
    their keys tell.
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
    for stored in executor.map(state.get, [info.key for info in listed]):
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


def set_aside_unreadable(
    state: ObjectStore, subdir: Subdir, unreadable: list[tuple[str, bytes]]
) -> None:
    """Move records that nobody can read out of the log, where they would be met again and again."""
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
        # >= 1 record always goes in, however large; the LIST page is read to its end either way.
        if batch and (len(batch) == records_max or size + info.size > MERGE_BATCH_BYTES_MAX):
            return batch, batch[-1].key
        batch.append(info)
        size += info.size
    return batch, None
