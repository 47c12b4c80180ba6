"""The reader of one package: which requests to make, in which order, and for how many bytes.

- A small object is read once, in full.
- A large ``.conda`` costs HEAD, its tail, and its info member if the tail does not hold it.
- A large ``.tar.bz2`` is streamed, for ``info/`` and the digests in one pass.
- Unknown digests cost one stream of the object, a chunk at a time.

Every request after the first carries ``If-Match``.  So a package that is overwritten meanwhile is
``Changed``, and never a mixture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sluice.conda.digests import Digests
from sluice.errors import Archived, BadPackage, Changed, LimitExceeded
from sluice.limits import MIB, SMALL_PACKAGE_BYTES_MAX
from sluice.package import conda_zip, tar_bz2
from sluice.package.digest_sources import StreamHasher, known_digests
from sluice.package.info_files import (
    parse_channeldata_fields,
    parse_index_json,
    parse_run_exports_files,
)
from sluice.package.read_limits import ReadLimits
from sluice.package.tar_stream import ABOUT_JSON, INDEX_JSON, PATHS_JSON, InfoFiles
from sluice.storage.object_store import ObjectInfo, ObjectStore


@dataclass(frozen=True, slots=True)
class PackageContents:
    """The contents of a package that the index needs."""

    index: dict[str, Any]
    """``info/index.json``, well-formed but not validated."""
    run_exports: dict[str, Any] | None
    """``info/run_exports.json``, with a bare list converted to ``{"weak": list}``.

    ``None`` if there is none, or it cannot be read."""
    channeldata: dict[str, Any]
    """Fields for ``channeldata.json`` (CEP 38); empty if the package has none."""
    digests: Digests
    run_exports_problem: str | None = None
    """Why the run exports cannot be read, as the end of a clause."""


@dataclass(frozen=True, slots=True)
class PackageRead:
    """A verdict, and the object it is about."""

    info: ObjectInfo
    outcome: PackageContents | BadPackage


def read_package(
    store: ObjectStore,
    key: str,
    limits: ReadLimits,
    *,
    size_hint: int | None,
    trust_uploader_digests: bool,
) -> PackageRead | None:
    """Read the package at ``key``; ``None`` if there is no such key.

    ``size_hint`` is the event's size in bytes; it only decides how to begin.  A problem of the
    package is returned, not raised, because a reject needs the object's identity.  A package that
    exceeds ``limits`` has ``LimitExceeded``.  Raises ``Changed`` if it is overwritten meanwhile,
    and ``Unavailable``.
    """
    try:
        return _read(store, key, limits, size_hint, trust_uploader=trust_uploader_digests)
    except Archived:
        info = store.head(key)  # works on an archived object, unlike GET
        if info is None:
            return None
        if info.archive is None:  # restored meanwhile, or the server does not say
            with suppress(Archived):
                return _read(store, key, limits, size_hint, trust_uploader=trust_uploader_digests)
        return PackageRead(
            info,
            BadPackage("archived", _archived_sentence(_filename(key), info.archive)),
        )


def _archived_sentence(file: str, archive: str | None) -> str:
    """The same at upload and for a package that was archived later."""
    where = f"the archive storage class {archive}" if archive else "an archive storage class"
    return (
        f"{file} is in {where}, so clients get 403. Restore it (aws s3api restore-object), then "
        "copy it onto itself in a storage class with instant access (aws s3 cp --storage-class "
        "STANDARD), or upload it again."
    )


def _read(
    store: ObjectStore,
    key: str,
    limits: ReadLimits,
    size_hint: int | None,
    *,
    trust_uploader: bool,
) -> PackageRead | None:
    body: bytes | None = None
    if size_hint is not None and size_hint <= SMALL_PACKAGE_BYTES_MAX:
        with store.open(key) as opened:
            if opened is None:
                return None
            info = opened.info
            if info.size <= SMALL_PACKAGE_BYTES_MAX:
                body = b"".join(opened.chunks)
    else:
        head_info = store.head(key)
        if head_info is None:
            return None
        info = head_info
        if info.size <= SMALL_PACKAGE_BYTES_MAX:
            with _stream(store, info) as chunks:
                body = b"".join(chunks)
    try:
        if body is not None:
            return PackageRead(info, _from_memory(body, _filename(key), limits))
        return PackageRead(info, _from_store(store, info, limits, trust_uploader=trust_uploader))
    except BadPackage as reject:
        # Without the traceback, which would keep the bytes that were read alive.
        return PackageRead(info, reject.with_traceback(None))


def _from_memory(body: bytes, file: str, limits: ReadLimits) -> PackageContents:
    if not body:
        raise BadPackage("empty-file", f"{file} is empty. Upload it again.")
    if file.endswith(conda_zip.SUFFIX):
        files = conda_zip.read_conda_info(
            lambda start, length: body[start : start + length], len(body), file, limits
        )
    else:
        files = tar_bz2.read_tar_bz2_info([body], file, limits)
        tar_bz2.check_not_truncated(body[-tar_bz2.TRAILER_BYTES :], file)
    hasher = StreamHasher()
    _drain(hasher.pass_through([body]))
    return _make_contents(files, hasher.digests(), file)


def _from_store(
    store: ObjectStore, info: ObjectInfo, limits: ReadLimits, *, trust_uploader: bool
) -> PackageContents:
    file = _filename(info.key)
    digests = known_digests(info, trust_uploader=trust_uploader)
    if digests is None and info.size > limits.whole_read_bytes_max:
        raise LimitExceeded(
            "hashing-too-slow",
            f"{file} has {info.size // MIB} MiB, and its SHA-256 is not known without reading all "
            f"of it. The limit for such files is {limits.whole_read_bytes_max / MIB:g} MiB.",
        )
    if file.endswith(conda_zip.SUFFIX):
        files = conda_zip.read_conda_info(
            lambda start, length: store.read_range(info.key, start, length, if_match=info.etag),
            info.size,
            file,
            limits,
        )
        if digests is None:
            hasher = StreamHasher()
            with _stream(store, info) as chunks:
                _drain(hasher.pass_through(chunks))
            digests = hasher.digests()
    else:
        with _stream(store, info) as chunks:
            hasher = StreamHasher()
            tail = _Tail()
            watched = tail.pass_through(hasher.pass_through(chunks)) if digests is None else chunks
            files = tar_bz2.read_tar_bz2_info(watched, file, limits)
            if digests is None:
                _drain(watched)
                tar_bz2.check_not_truncated(tail.bytes, file)
                digests = hasher.digests()
    return _make_contents(files, digests, file)


def _make_contents(files: InfoFiles, digests: Digests, file: str) -> PackageContents:
    index_json = files[INDEX_JSON]
    assert index_json is not None, "only run exports are listed without being read"
    run_exports = parse_run_exports_files(files)
    return PackageContents(
        index=parse_index_json(index_json, file),
        run_exports=run_exports.groups,
        run_exports_problem=run_exports.problem,
        channeldata=parse_channeldata_fields(files.get(ABOUT_JSON), files.get(PATHS_JSON)),
        digests=digests,
    )


@contextmanager
def _stream(store: ObjectStore, info: ObjectInfo) -> Iterator[Iterator[bytes]]:
    """Stream exactly the version that ``info`` describes."""
    with store.open(info.key, if_match=info.etag) as opened:
        if opened is None:
            raise Changed(f"{info.key} no longer exists")
        yield opened.chunks


class _Tail:
    """Keeps the last bytes of a stream."""

    def __init__(self) -> None:
        self.bytes = b""

    def pass_through(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.bytes = (self.bytes + chunk[-tar_bz2.TRAILER_BYTES :])[-tar_bz2.TRAILER_BYTES :]
            yield chunk


def _drain(chunks: Iterator[bytes]) -> None:
    deque(chunks, maxlen=0)


def _filename(key: str) -> str:
    return key.rpartition("/")[2]
