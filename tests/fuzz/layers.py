"""What must hold for any bytes, and the layers of a package through which they are fed.

A change to a zip, zstd or bzip2 file mostly ends at a checksum.  So each layer takes the bytes for
something further inside and wraps them properly: what is changed is what the next parser reads.
"""

from __future__ import annotations

import bz2
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import msgspec

from sluice.conda.record import make_record
from sluice.errors import BadPackage
from sluice.extract import staging
from sluice.extract.extract import EXTRACTOR_VERSION
from sluice.extract.misplaced import find_misplacement
from sluice.extract.staging import Indexed, Rejected, StagingRecord
from sluice.layout import parse_package_key
from sluice.limits import KIB, MIB, RECORD_BYTES_MAX, REJECT_SENTENCE_CHARS_MAX
from sluice.package import conda_zip, reader, tar_bz2, tar_stream
from sluice.package.read_limits import FULL_READ
from sluice.package.reader import PackageContents, PackageRead, read_package
from sluice.storage.object_id import ObjectId
from testkit import memory_store
from testkit.memory_store import MemoryStore
from tests.support.package_archives import (
    CONDA,
    TAR_BZ2,
    Entry,
    index_entry,
    members,
    tar,
    zipped,
    zst,
)
from tests.support.package_archives import conda as conda_of

Layer = Callable[[bytes], None]
"""Raises where the property does not hold for these bytes."""

# The bounds of limits.py, smaller: what they bound is then seen in milliseconds instead of minutes.
_SCALED_DOWN = (
    (conda_zip, "INFO_PACKED_BYTES_MAX", 64 * KIB),
    (conda_zip, "INFO_UNPACKED_BYTES_MAX", MIB),
    (conda_zip, "ZSTD_WINDOW_BYTES_MAX", MIB),
    (tar_bz2, "TAR_BZ2_UNPACKED_BYTES_MAX", MIB),
    (tar_bz2, "UNPACK_CHUNK_BYTES", 96),
    (tar_bz2, "BZ2_STREAMS_MAX", 100),
    (tar_stream, "TAR_HEADERS_MAX", 1000),
    (tar_stream, "TAR_EXTENDED_HEADERS_BYTES_MAX", 64 * KIB),
)
_TAIL_BYTES = 512
"""Of the first ranged read here: less than the archive, so that a second one is needed."""
_CHUNK_BYTES = 2 * 96
"""Of what is streamed here.  As outside, a multiple of what is unpacked at once: which damage of a
stream is met first depends on the cuts."""


def scale_down(patch: Callable[[Any, str, int], object] = setattr) -> None:
    """Make the bounds small, for as long as ``patch`` says (by default for this process)."""
    for module, name, bound in _SCALED_DOWN:
        patch(module, name, bound)


def check(filename: str, body: bytes) -> None:
    """Judge a package, read whole and in parts: the verdict is the same."""
    whole = judge(filename, body)
    with (
        mock.patch.object(reader, "SMALL_PACKAGE_BYTES_MAX", 0),
        mock.patch.object(conda_zip, "CONDA_TAIL_BYTES", _TAIL_BYTES),
        mock.patch.object(memory_store, "STREAM_CHUNK_BYTES", _CHUNK_BYTES),
    ):
        in_parts = judge(filename, body)
    directory_out_of_reach = isinstance(in_parts, Rejected) and in_parts.code == "zip-invalid"
    assert in_parts == whole or directory_out_of_reach, (whole, in_parts)


def judge(filename: str, body: bytes) -> StagingRecord:
    """Judge a package as extract does; the verdict can be staged, told and published.

    The store answers everything, so not even ``Unavailable`` may come out: it would send the
    message back to the queue, to fail there for ever.
    """
    store = MemoryStore()
    key = f"demo/noarch/{filename}"
    store.upload(key, body)
    package = read_package(store, key, FULL_READ, size_hint=len(body), trust_uploader_digests=True)
    assert package is not None
    return _verdict(package)


def _verdict(package: PackageRead) -> StagingRecord:
    key = parse_package_key(package.info.key)
    assert key is not None
    verdict: StagingRecord
    common: dict[str, Any] = {
        "filename": key.filename,
        "extractor": EXTRACTOR_VERSION,
        "at": 0,
        "identity": ObjectId.from_info(package.info),
    }
    try:
        contents = _contents(package)
        record = make_record(
            contents.index,
            key.filename,
            key.subdir.name,
            size=package.info.size,
            digests=contents.digests,
        )
    except BadPackage as bad:
        verdict = Rejected(**common, code=bad.code, sentence=bad.sentence)
        _must_be_tellable(bad.sentence)
    else:
        verdict = Indexed(
            **common,
            record=record,
            digests_from={},
            run_exports=contents.run_exports,
            channeldata=contents.channeldata,
        )
        _must_be_publishable(record)
    assert staging.decode_staging_record(staging.encode_staging_record(verdict)) == verdict
    return verdict


def _contents(package: PackageRead) -> PackageContents:
    if isinstance(package.outcome, BadPackage):
        raise package.outcome
    # How they were obtained differs between whole and in parts; what they are must not.
    digests = replace(package.outcome.digests, sha256_from="read", md5_from="read")
    return replace(package.outcome, digests=digests)


def _must_be_publishable(record: dict[str, Any]) -> None:
    packed = msgspec.json.encode(record)
    assert len(packed) <= RECORD_BYTES_MAX
    assert json.loads(packed) == record
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record)) == record


def _must_be_tellable(sentence: str) -> None:
    assert sentence.isprintable(), sentence
    assert len(sentence) <= REJECT_SENTENCE_CHARS_MAX, len(sentence)


# --- the layers, from the outside in ----------------------------------------------------------


def _zstd(data: bytes) -> None:
    judge(CONDA, zipped(members(data)))


def _tar(data: bytes) -> None:
    judge(CONDA, zipped(members(zst(data))))
    check(TAR_BZ2, bz2.compress(data, 1))


def _index(data: bytes) -> None:
    judge(CONDA, conda_of(Entry("info/index.json", data)))


def _beside_index(data: bytes) -> None:
    names = ("about", "paths", "run_exports")
    judge(CONDA, conda_of(index_entry(), *(Entry(f"info/{name}.json", data) for name in names)))


def _filename(data: bytes) -> None:
    """Of an otherwise good package; S3 takes any Unicode."""
    name = data.decode("utf-8", "replace").replace("/", "_")
    for filename, body in (
        (f"{name}.conda", zipped(members(zst(tar([index_entry()])), stem=name[:200]))),
        (f"{name}.tar.bz2", bz2.compress(tar([index_entry()]), 1)),
    ):
        key = f"demo/noarch/{filename}"
        if parse_package_key(key):
            judge(filename, body)
        else:
            misplacement = find_misplacement(key)
            assert misplacement
            assert misplacement.reason.isprintable()


LAYERS: Mapping[str, Layer] = {
    "conda": partial(check, CONDA),
    "tar-bz2": partial(check, TAR_BZ2),
    "zstd": _zstd,
    "tar": _tar,
    "index-json": _index,
    "beside-index-json": _beside_index,
    "filename": _filename,
}
