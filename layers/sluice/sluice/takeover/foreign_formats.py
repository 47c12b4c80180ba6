"""The formats of other tools' indexes: ``repodata.json`` (CEP 36, 48) and shards (CEP 16).  Pure.

Records stay raw JSON; ``existing_index`` decides whether a single one can be published.
``Corrupt`` is for an index that could only be taken over in part.  Where other
tools have nothing to say, they leave the key out or write ``null``, and ``{}`` for an empty list.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Annotated, Any, NamedTuple, TypeVar

import msgpack
import msgspec

from sluice import zstd
from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.conda.record_fields import unpublishable_reason
from sluice.errors import DECODE_ERRORS, Corrupt

_FILE_INFO_KEYS = frozenset(
    {"created_at", "repodata_version", "shards_base_url", "sluice", "subdir"}
)  # in ``info``: properties of one file, which every tool writes itself
_SHARD_SUFFIX = ".msgpack.zst"
_ARCHIVES = frozenset(suffix[1:] for suffix in PACKAGE_SUFFIXES)
_REVISION = re.compile("[vV][0-9]+")
_EMPTY_JSON = (b"{}", b"null")
_DIGEST_KEYS = ("attestations_sha256", "legacy_bz2_md5", "md5", "sha256")
_BYTE_MAX = 0xFF

T = TypeVar("T")


class BucketRecord(NamedTuple):
    """A record of revision 3 for a file that is no conda package."""

    bucket: str
    """``whl``, or a bucket that is not known yet."""
    record: msgspec.Raw


@dataclass(frozen=True, slots=True)
class ForeignIndex:
    """The content of an index, or of one shard of it."""

    records: Mapping[str, msgspec.Raw] = field(default_factory=dict)
    """By filename, both archive formats and all revisions together."""
    v3: frozenset[str] = frozenset()
    """Those of them that are only in revision 3 (CEP 48)."""
    bucket_records: Mapping[str, BucketRecord] = field(default_factory=dict)
    """By ``<stem>.<bucket>``: the records in the other buckets of revision 3."""
    removed: frozenset[str] = frozenset()
    """Filenames that were once in the index and were removed from it."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """The operator's part of ``info``, for clients."""

    @property
    def base_url(self) -> str | None:
        """Location of the packages (CEP 15); ``None``: next to the index."""
        return self.info.get("base_url")


@dataclass(frozen=True, slots=True)
class ForeignShards:
    """A shard index."""

    info: Mapping[str, Any]
    shards: tuple[str, ...]
    """Path of each shard within the subdir's folder."""


_Removed = list[Any] | Annotated[dict[str, Any], msgspec.Meta(max_length=0)] | None
_RawRecords = dict[str, msgspec.Raw] | None


class _Repodata(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    info: dict[str, Any] | None = None
    packages: _RawRecords = None
    packages_conda: _RawRecords = None
    removed: _Removed = None
    v3: dict[str, _RawRecords] | None = None


_Records = dict[str, dict[str, Any] | None] | None


class _Shard(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    packages: _Records = None
    packages_conda: _Records = None
    removed: _Removed = None
    v3: dict[str, _Records] | None = None


class _ShardIndex(msgspec.Struct):
    shards: dict[str, Any]
    info: dict[str, Any] | None = None


class _PackageRunExports(msgspec.Struct):
    run_exports: Any = None


class _RunExports(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    packages: dict[str, _PackageRunExports] | None = None
    packages_conda: dict[str, _PackageRunExports] | None = None


def parse_repodata(body: bytes, *, source: str) -> ForeignIndex:
    """Parse a ``repodata.json``; raises ``Corrupt``, which names ``source``."""
    if not body:  # CEP 36: an empty file is an empty index
        return ForeignIndex()
    text = body.removeprefix(codecs.BOM_UTF8)
    try:
        repodata = msgspec.json.decode(text, type=_Repodata)
        document = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except DECODE_ERRORS as error:
        raise Corrupt(f"the existing index {source} cannot be read: {error}") from error
    _refuse_unknown_revisions(
        {key for key, raw in document.items() if bytes(raw).strip() not in _EMPTY_JSON}, source
    )
    return _foreign_index(
        {**(repodata.packages or {}), **(repodata.packages_conda or {})},
        {bucket: records or {} for bucket, records in (repodata.v3 or {}).items()},
        removed=repodata.removed or (),
        info=_channel_info(repodata.info or {}, source),
    )


def parse_run_exports(body: bytes, *, source: str) -> dict[str, Any]:
    """Parse a ``run_exports.json`` (CEP 12), by filename; raises ``Corrupt``, naming ``source``."""
    try:
        document = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8), type=_RunExports)
    except DECODE_ERRORS as error:
        raise Corrupt(f"the existing run exports {source} cannot be read: {error}") from error
    packages = chain((document.packages or {}).items(), (document.packages_conda or {}).items())
    return {filename: package.run_exports for filename, package in packages}


def parse_shard_index(body: bytes, *, source: str) -> ForeignShards:
    """Parse a ``repodata_shards.msgpack.zst``; raises ``Corrupt``, which names ``source``."""
    index = _decode_msgpack(body, _ShardIndex, source)
    info = index.info or {}
    base_url = info.get("shards_base_url")
    base_url = "" if base_url is None else base_url
    folder = base_url.removeprefix("./").removesuffix("/") if isinstance(base_url, str) else ":"
    if folder.startswith((".", "/")) or ":" in folder:
        raise Corrupt(f"the existing index {source} has its shards elsewhere: {base_url}")
    digests = [_hex_digest(digest) for _, digest in sorted(index.shards.items())]
    if None in digests:
        raise Corrupt(f"the existing shard index {source} has a value that is not a digest")
    return ForeignShards(
        info=_channel_info(info, source),
        shards=tuple(
            f"{folder}/{digest}{_SHARD_SUFFIX}" if folder else f"{digest}{_SHARD_SUFFIX}"
            for digest in digests
        ),
    )


def parse_shard(body: bytes, *, source: str) -> ForeignIndex:
    """Parse one shard; raises ``Corrupt``, which names ``source``."""
    shard = _decode_msgpack(body, _Shard, source)
    try:
        return _foreign_index(
            _as_json({**(shard.packages or {}), **(shard.packages_conda or {})}),
            {bucket: _as_json(records or {}) for bucket, records in (shard.v3 or {}).items()},
            removed=shard.removed or (),
        )
    except (*DECODE_ERRORS, TypeError) as error:  # msgpack can hold what JSON cannot
        raise Corrupt(f"the existing shard {source} cannot be read: {error}") from error


def merge_shards(shards: Iterable[ForeignIndex], info: Mapping[str, Any]) -> ForeignIndex:
    """Combine the shards of an index."""
    parts = list(shards)
    return ForeignIndex(
        records={name: raw for part in parts for name, raw in part.records.items()},
        v3=frozenset().union(*(part.v3 for part in parts)),
        bucket_records={
            name: record for part in parts for name, record in part.bucket_records.items()
        },
        removed=frozenset().union(*(part.removed for part in parts)),
        info=info,
    )


def _foreign_index(
    legacy: Mapping[str, msgspec.Raw],
    v3: Mapping[str, Mapping[str, msgspec.Raw]],
    *,
    removed: Iterable[Any],
    info: Mapping[str, Any] | None = None,
) -> ForeignIndex:
    by_filename: dict[str, BucketRecord] = {}
    for bucket, records in v3.items():
        for stem, raw in records.items():
            filename = f"{stem}.{bucket}"
            ambiguous = bucket not in _ARCHIVES and filename.endswith(PACKAGE_SUFFIXES)
            if ambiguous or filename in by_filename:
                raise Corrupt(
                    f"the existing index has a v3 record {stem!r} in {bucket!r} that matches more "
                    "than one file, so the index was not changed"
                )
            by_filename[filename] = BucketRecord(bucket, raw)
    of_packages = {
        filename: record.record
        for filename, record in by_filename.items()
        if record.bucket in _ARCHIVES
    }
    return ForeignIndex(
        # Records that older clients could read stay readable for them.
        records={**of_packages, **legacy},
        v3=frozenset(of_packages.keys() - legacy.keys()),
        bucket_records={
            name: record for name, record in by_filename.items() if record.bucket not in _ARCHIVES
        },
        removed=frozenset(filename for filename in removed if isinstance(filename, str)),
        info=info or {},
    )


def _decode_msgpack(body: bytes, expected: type[T], source: str) -> T:
    try:
        document = msgpack.unpackb(zstd.decompress(body))
        converted = msgspec.convert(document, expected)
    except (*DECODE_ERRORS, Corrupt, ValueError, msgpack.UnpackException) as error:
        raise Corrupt(f"the existing index {source} cannot be read: {error}") from error
    _refuse_unknown_revisions({key for key, value in document.items() if value}, source)
    return converted


def _refuse_unknown_revisions(keys: Iterable[str], source: str) -> None:
    """Refuse revisions whose content this version of sluice does not know."""
    newer = sorted(key for key in keys if _REVISION.fullmatch(key) and key != "v3")
    if newer:
        raise Corrupt(
            f"the existing index {source} has {', '.join(newer)} records (CEP 48), which this "
            "version of sluice does not support, so it was not changed"
        )


def _channel_info(info: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Keep the fields of ``info`` that stay true for any publisher, and can be published."""
    carried = {
        key: value
        for key, value in info.items()
        if key not in _FILE_INFO_KEYS and not unpublishable_reason({key: value})
    }
    base_url = carried.pop("base_url", None)
    if not isinstance(base_url, str | None):
        raise Corrupt(f"the base_url of the existing index {source} is not a string")
    if base_url:
        carried["base_url"] = base_url
    revisions = carried.pop("repodata_revisions", None)
    if isinstance(revisions, dict):
        carried["repodata_revisions"] = {
            revision: _without_counts(revision_info)
            for revision, revision_info in revisions.items()
            if isinstance(revision_info, dict)
        }
    return carried


def _without_counts(revision_info: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the operator's fields of a revision (CEP 48); its counts are those of one file."""
    return {key: value for key, value in revision_info.items() if key == "message"}


def _as_json(records: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    return {
        filename: msgspec.Raw(msgspec.json.encode(_with_hex_digests(record)))
        for filename, record in records.items()
    }


def _with_hex_digests(record: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {
        key: (_hex_digest(value) or value) if key in _DIGEST_KEYS else value
        for key, value in record.items()
    }


def _hex_digest(value: Any) -> str | None:
    """A digest in hex, from what tools write into shards: bytes, as such or as numbers, or hex."""
    match value:
        case bytes():
            return value.hex()
        case str():
            return value
        case list() if all(isinstance(item, int) and 0 <= item <= _BYTE_MAX for item in value):
            return bytes(value).hex()
    return None
