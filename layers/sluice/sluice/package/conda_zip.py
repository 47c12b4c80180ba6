"""The ``.conda`` format (CEP 35): an uncompressed zip around ``info-*`` and ``pkg-*.tar.zst``.

The standard ``zipfile`` reads it, through a window that holds only the tail and later the info
member.  It supports zip64, data descriptors and prepended data, and needs no more requests than a
custom parser would.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import zstandard

from sluice.errors import BadPackage
from sluice.limits import (
    CONDA_TAIL_BYTES,
    INFO_PACKED_BYTES_MAX,
    INFO_UNPACKED_BYTES_MAX,
    MIB,
    ZIP_LOCAL_HEADER_BYTES_MAX,
    ZIP_MEMBERS_MAX,
    ZSTD_INPUT_CHUNK_BYTES,
    ZSTD_WINDOW_BYTES_MAX,
)
from sluice.package.read_limits import ReadLimits
from sluice.package.tar_stream import InfoFiles, read_info_files, truncated_error

Fetch = Callable[[int, int], bytes]
"""Reads ``(start, length)`` of the object."""

SUFFIX = ".conda"

_LOCAL_HEADER_BYTES_MIN = 30
_ENCRYPTED = 0x1
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
    window = _PartialFile(size)
    window.add_part(tail_start, fetch(tail_start, size - tail_start))
    try:
        archive = zipfile.ZipFile(window)
    except _ZIP_ERRORS as error:
        raise _not_a_zip(file) from error
    with archive:
        members = archive.infolist()
        _check_members(members, archive.start_dir, file)
        # Without both of them no client can install.
        components = {name: _find_component(members, name, file) for name in ("info", "pkg")}
        member = components[kind]
        if member.compress_size > packed_bytes_max:
            raise BadPackage(
                "info-too-large",
                f"{file}: {member.filename} has {member.compress_size // MIB} MiB; the most that "
                f"is read is {packed_bytes_max // MIB} MiB.",
            )
        start = member.header_offset
        end = min(archive.start_dir, start + ZIP_LOCAL_HEADER_BYTES_MAX + member.compress_size)
        if start < tail_start:
            window.add_part(start, fetch(start, end - start))
        try:
            return archive.read(member)
        except _ZIP_ERRORS as error:
            raise _not_a_zip(file) from error


def _check_members(members: Sequence[zipfile.ZipInfo], directory: int, file: str) -> None:
    """Refuse members that CEP 35 forbids, or that clients would read differently."""
    if len(members) > ZIP_MEMBERS_MAX:
        raise BadPackage(
            "zip-too-many-members",
            f"{file} contains {len(members)} zip members where a .conda has three.",
        )
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise BadPackage(
                "zip-member-encrypted", f"{file}: its member {member.filename!r} is encrypted."
            )
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise BadPackage(
                "zip-member-compressed",
                f"{file}: its member {member.filename!r} is compressed by zip; a .conda must be "
                "an uncompressed zip (zip -0).",
            )
    if len({member.filename for member in members}) < len(members):
        raise BadPackage("zip-member-duplicate", f"{file} contains two members of the same name.")
    ordered = sorted(members, key=lambda member: member.header_offset)
    starts = [member.header_offset for member in ordered]
    for member, (start, end) in zip(ordered, pairwise([*starts, directory]), strict=True):
        if start < 0 or start + _LOCAL_HEADER_BYTES_MIN + member.compress_size > end:
            raise BadPackage(
                "zip-members-overlap",
                f"{file}: its member {member.filename!r} overlaps what follows it.",
            )


def _find_component(members: Sequence[zipfile.ZipInfo], kind: str, file: str) -> zipfile.ZipInfo:
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
        raise BadPackage("conda-member-missing", f"{file} contains no member {expected}.")
    for member in of_kind:
        if member.filename != expected:
            raise BadPackage(
                "conda-member-misnamed",
                f"{file} contains {member.filename!r} where its name asks for {expected}: "
                "a package cannot be renamed after it was built.",
            )
    return of_kind[0]


def _decompress_zstd(packed: bytes, file: str) -> Iterator[bytes]:
    """Decompress frame after frame.

    In small pieces, because zstd can expand four bytes to 128 KiB and this interface returns all
    output at once.  zstandard's bounded reader does not distinguish a truncated frame from a
    complete one.
    """
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
            f"{file}: an archive in it is not zstd, or it is damaged. Build or upload it again.",
        ) from error
    if not frame.eof:
        raise truncated_error(file)


def _not_a_zip(file: str) -> BadPackage:
    return BadPackage(
        "zip-invalid",
        f"{file} is not a zip file, or it is damaged or was cut off. Build or upload it again.",
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

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("in front of the file")
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
        raise ValueError("not at hand")

    def close(self) -> None:
        """Nothing to close."""
