"""The ``.conda`` format (CEP 35): an uncompressed zip around ``info-*`` and ``pkg-*.tar.zst``.

``zip_directory`` reads the plain form, in which builders write it.  The standard ``zipfile`` reads
all others, through a window that holds only the tail and later the info member.  It supports zip64,
data descriptors and prepended data.  Either needs the same requests.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol, TypeVar

import zstandard

from sluice.errors import BadPackage
from sluice.limits import (
    CONDA_TAIL_BYTES,
    INFO_PACKED_BYTES_MAX,
    INFO_UNPACKED_BYTES_MAX,
    KIB,
    MIB,
    ZIP_LOCAL_HEADER_BYTES_MAX,
    ZIP_MEMBERS_MAX,
    ZSTD_INPUT_CHUNK_BYTES,
    ZSTD_WINDOW_BYTES_MAX,
)
from sluice.package.read_limits import ReadLimits
from sluice.package.tar_stream import InfoFiles, read_info_files, truncated_error
from sluice.package.zip_directory import read_plain_directory, read_plain_member

Fetch = Callable[[int, int], bytes]
"""Reads ``(start, length)`` of the object."""

SUFFIX = ".conda"

_LOCAL_HEADER_BYTES_MIN = 30
_ENCRYPTED = 0x1
_PACKED_BY_KEPT_BYTES_MAX = 16 * KIB
_CONTEXTS_KEPT_MAX = 32
_idle_contexts: list[zstandard.ZstdDecompressor] = []
"""Contexts that nobody uses; to make one takes longer than to decompress a small archive."""
# zipfile's errors for an invalid zip: its own error, structures that are too short, versions and
# flags that it does not know, names that are not UTF-8, offsets outside of the file or of the
# window, data that ends too early.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    struct.error,
    NotImplementedError,
    ValueError,
    OSError,
    EOFError,
)


def read_conda_info(fetch: Fetch, size: int, file: str, limits: ReadLimits) -> InfoFiles:
    """Read the wanted files of ``info/`` with at most two calls of ``fetch``.

    ``size`` is that of the whole object in bytes, ``file`` the package's name.
    """
    packed = _read_component(fetch, size, file, "info", packed_bytes_max=INFO_PACKED_BYTES_MAX)
    return read_info_files(
        _decompress_zstd(packed, file),
        file,
        limits,
        unpacked_bytes_max=INFO_UNPACKED_BYTES_MAX,
        until_payload=False,
    )


def unpack_payload(body: bytes, file: str) -> Iterator[bytes]:
    """Decompress the ``pkg-*.tar.zst`` member of a package in memory."""

    def fetch(start: int, length: int) -> bytes:
        return body[start : start + length]

    size = len(body)
    packed = _read_component(fetch, size, file, "pkg", packed_bytes_max=size)
    return _decompress_zstd(packed, file)


def _read_component(
    fetch: Fetch, size: int, file: str, kind: str, *, packed_bytes_max: int
) -> bytes:
    """Fetch the ``<kind>-*.tar.zst`` member."""
    tail_start = max(0, size - CONDA_TAIL_BYTES)
    tail = fetch(tail_start, size - tail_start)
    window = _PartialFile(size)
    window.add_part(tail_start, tail)
    if directory := read_plain_directory(tail, size):
        member = _choose_component(
            directory.members, directory.start_dir, file, kind, packed_bytes_max=packed_bytes_max
        )
        start, end = _extent(member, directory.start_dir)
        local = tail[start - tail_start :] if start >= tail_start else fetch(start, end - start)
        data = read_plain_member(local, member)
        if data is not None:
            return data
        window.add_part(start, local)
    return _read_any_zip(window, fetch, tail_start, file, kind, packed_bytes_max=packed_bytes_max)


def _read_any_zip(
    window: _PartialFile,
    fetch: Fetch,
    tail_start: int,
    file: str,
    kind: str,
    *,
    packed_bytes_max: int,
) -> bytes:
    """Read a component by ``zipfile``; the window has the tail, and perhaps the component."""
    try:
        archive = zipfile.ZipFile(window)
    except _ZIP_ERRORS as error:
        raise _not_a_zip(file) from error
    with archive:
        member = _choose_component(
            archive.infolist(), archive.start_dir, file, kind, packed_bytes_max=packed_bytes_max
        )
        start, end = _extent(member, archive.start_dir)
        if start < tail_start and not window.has(start):
            window.add_part(start, fetch(start, end - start))
        try:
            return archive.read(member)
        except _ZIP_ERRORS as error:
            raise _not_a_zip(file) from error


class _ZipMember(Protocol):
    """The attributes of a member that are checked, by either reader of the directory."""

    @property
    def filename(self) -> str: ...
    @property
    def flag_bits(self) -> int: ...
    @property
    def compress_type(self) -> int: ...
    @property
    def compress_size(self) -> int: ...
    @property
    def file_size(self) -> int: ...
    @property
    def header_offset(self) -> int: ...


M = TypeVar("M", bound=_ZipMember)


def _choose_component(
    members: Sequence[M], directory: int, file: str, kind: str, *, packed_bytes_max: int
) -> M:
    """Check all members and choose the component of a kind."""
    _check_members(members, directory, file)
    # Without both of them no client can install.
    components = {name: _find_component(members, name, file) for name in ("info", "pkg")}
    member = components[kind]
    if member.compress_size > packed_bytes_max:
        raise BadPackage(
            "info-too-large",
            f"{file}: {member.filename} has {member.compress_size // MIB} MiB; the limit is "
            f"{packed_bytes_max // MIB} MiB.",
        )
    return member


def _extent(member: _ZipMember, directory: int) -> tuple[int, int]:
    """From where to where a member may reach, its local header included."""
    start = member.header_offset
    return start, min(directory, start + ZIP_LOCAL_HEADER_BYTES_MAX + member.compress_size)


def _check_members(members: Sequence[_ZipMember], directory: int, file: str) -> None:
    """Refuse members that CEP 35 forbids, or that clients would read differently."""
    if len(members) > ZIP_MEMBERS_MAX:
        raise BadPackage(
            "zip-too-many-members",
            f"{file} contains {len(members)} zip members instead of three.",
        )
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise BadPackage(
                "zip-member-encrypted", f"{file}: its member {member.filename!r} is encrypted."
            )
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise BadPackage(
                "zip-member-compressed",
                f"{file}: its member {member.filename!r} is compressed by zip; a .conda must be an "
                "uncompressed zip (zip -0).",
            )
    if len({member.filename for member in members}) < len(members):
        raise BadPackage(
            "zip-member-duplicate", f"{file} contains two zip members with the same name."
        )
    ordered = sorted(members, key=lambda member: member.header_offset)
    starts = [member.header_offset for member in ordered]
    for member, (start, end) in zip(ordered, pairwise([*starts, directory]), strict=True):
        if start < 0 or start + _LOCAL_HEADER_BYTES_MIN + member.compress_size > end:
            raise BadPackage(
                "zip-members-overlap",
                f"{file}: its member {member.filename!r} overlaps the data after it.",
            )


def _find_component(members: Sequence[M], kind: str, file: str) -> M:
    """Find ``<kind>-<stem>.tar.zst``; there must be one, and no other of its kind.

    conda looks for the stem of the file's name, rattler takes the first of the kind.
    """
    expected = f"{kind}-{file.removesuffix(SUFFIX)}.tar.zst"
    of_kind = [
        member
        for member in members
        if member.filename.startswith(f"{kind}-") and member.filename.endswith(".tar.zst")
    ]
    if not of_kind:
        raise BadPackage("conda-member-missing", f"{file} does not contain {expected}.")
    for member in of_kind:
        if member.filename != expected:
            raise BadPackage(
                "conda-member-misnamed",
                f"{file} contains {member.filename!r} instead of {expected}: a package cannot be "
                "renamed after the build.",
            )
    return of_kind[0]


def _decompress_zstd(packed: bytes, file: str) -> Iterator[bytes]:
    """Decompress frame after frame.

    In small pieces, because zstd can expand four bytes to 128 KiB and this interface returns all
    output at once.  zstandard's bounded reader does not distinguish a truncated frame from a
    complete one.
    """
    try:
        context = _idle_contexts.pop()
    except IndexError:
        context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX)
    frame = context.decompressobj()
    try:
        for start in range(0, len(packed), ZSTD_INPUT_CHUNK_BYTES):
            remaining = packed[start : start + ZSTD_INPUT_CHUNK_BYTES]
            while remaining:
                if frame.eof:
                    frame = context.decompressobj()
                yield frame.decompress(remaining)  # perhaps nothing, see ``unpack_tar_bz2``
                remaining = frame.unused_data
    except zstandard.ZstdError as error:
        raise BadPackage(
            "zstd-invalid",
            f"{file}: an inner archive is damaged or not zstd. Build or upload the package again.",
        ) from error
    if not frame.eof:
        raise truncated_error(file)
    # Only of small archives, because a context keeps buffers of the size that it has used.
    if len(packed) <= _PACKED_BY_KEPT_BYTES_MAX and len(_idle_contexts) < _CONTEXTS_KEPT_MAX:
        _idle_contexts.append(context)


def _not_a_zip(file: str) -> BadPackage:
    return BadPackage(
        "zip-invalid",
        f"{file} is damaged, truncated or not a zip file. Build or upload it again.",
    )


class _PartialFile:
    """A file with only some parts in memory; reading any other part is an error."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._position = 0
        self._parts: list[tuple[int, bytes]] = []

    def add_part(self, start: int, part: bytes) -> None:
        """Add the bytes from ``start`` on."""
        self._parts.append((start, part))

    def has(self, start: int) -> bool:
        """Whether the byte at ``start`` is in memory."""
        return any(at <= start < at + len(part) for at, part in self._parts)

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("the position is before the start of the file")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        if self._position >= self._size:
            return b""
        for start, part in self._parts:
            if start <= self._position < start + len(part):
                at = self._position - start
                data = part[at:] if size is None or size < 0 else part[at : at + size]
                self._position += len(data)
                return data
        raise ValueError("this part of the file is not in memory")

    def close(self) -> None:
        """Nothing to close."""
