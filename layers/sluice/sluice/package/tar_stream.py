"""The wanted files of ``info/`` from an unpacked tar stream, in bounded time and memory.

``tarfile`` only parses single headers here and does not walk the archive: its walk reads extended
headers of any size, recurses over chains of them and remembers every member.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sluice.errors import BadPackage, LimitExceeded
from sluice.limits import (
    ABOUT_JSON_BYTES_MAX,
    INDEX_JSON_BYTES_MAX,
    MIB,
    PATHS_JSON_BYTES_MAX,
    RUN_EXPORTS_JSON_BYTES_MAX,
    TAR_EXTENDED_HEADERS_BYTES_MAX,
    TAR_HEADERS_MAX,
)
from sluice.package import tar_sparse
from sluice.package.cpu_budget import within_cpu_budget
from sluice.package.read_limits import ReadLimits
from sluice.package.tar_sparse import Extent, PaxSparse

INDEX_JSON = "info/index.json"
ABOUT_JSON = "info/about.json"
PATHS_JSON = "info/paths.json"
RUN_EXPORTS_JSON = "info/run_exports.json"
OTHER_RUN_EXPORTS = ("info/run_exports.yaml", "info/run_exports")
"""Files in which old versions of conda-build wrote run exports."""

InfoFiles = dict[str, bytes | None]
"""Files of ``info/`` by name; ``None``: run exports that were not read."""

_BYTES_MAX: Mapping[str, int] = {
    INDEX_JSON: INDEX_JSON_BYTES_MAX,
    ABOUT_JSON: ABOUT_JSON_BYTES_MAX,
    PATHS_JSON: PATHS_JSON_BYTES_MAX,
    RUN_EXPORTS_JSON: RUN_EXPORTS_JSON_BYTES_MAX,
}

# Links, devices and directories have no data, whatever size their headers declare.
_WITHOUT_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LENGTH_DIGITS_MAX = 20
_PAX_SPARSE = b"GNU.sparse."


# The fields of a header in the forms in which builders write numbers.  ``tarfile`` reads all
# others: it knows more forms, and takes several times as long for each header.
_OCTAL_8 = rb"(?:[0-7]{7}[ \0]|[0-7]{6}[ \0]{2}|\0{8})"
_OCTAL_12 = rb"(?:[0-7]{11}[ \0]|\0{12})"
_USUAL_HEADER = re.compile(
    rb"(?P<name>.{100})"
    + _OCTAL_8 * 3
    + rb"(?P<size>"
    + _OCTAL_12
    + rb")"
    + _OCTAL_12
    # the checksum, the type, a link's target, magic, version, and the names of user and group
    + rb"(?P<checksum>"
    + _OCTAL_8
    + rb")(?P<type>.).{100}.{8}.{64}"
    + _OCTAL_8 * 2
    + rb"(?P<prefix>.{155}).{12}",
    re.DOTALL,
)
_CHECKSUM_AT = slice(148, 156)
_CHECKSUM_BLANKS = 8 * ord(" ")
"""What its own eight bytes count in a header's checksum."""
_USUAL_TYPES = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
)


class _Header(NamedTuple):
    """What a header says of its member."""

    type: bytes
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    """Normalized: ``./info//index.json`` is ``info/index.json``."""
    kind: bytes
    size: int
    """Size of the file in bytes, as it is unpacked."""
    stored: int
    """Size of its data in the archive in bytes."""
    extents: Sequence[Extent] | None = None
    """Which parts of a sparse file these are."""
    map_in_data: bool = False
    """Whether the data of a sparse file begins with these ``extents``."""


def read_info_files(
    unpacked: Iterable[bytes],
    file: str,
    limits: ReadLimits,
    *,
    unpacked_bytes_max: int,
    until_payload: bool,
) -> InfoFiles:
    """Read ``info/index.json`` and the other wanted files: name to content.

    ``file`` is the package's name, for error messages.  An optional file that is larger than its
    bound is left out; of run exports ``None`` says that they are there.  With ``until_payload``,
    reading ends at the first member outside ``info/`` after ``info/index.json``: builders write the
    files of ``info/`` together, and unpacking the payload after them could take minutes.
    ``unpacked_bytes_max`` is the bound of the format, for all of ``info/``.
    """
    budgeted = within_cpu_budget(unpacked, file, seconds_max=limits.cpu_seconds_max)
    stream = _TarStream(budgeted, min(limits.index_bytes_max, unpacked_bytes_max), file)
    seen: set[str] = set()
    files: InfoFiles = {}
    for member in _members(stream, file):
        if member.name in OTHER_RUN_EXPORTS:
            files[member.name] = None
            continue
        if member.name not in _BYTES_MAX:
            if until_payload and INDEX_JSON in seen and not _in_info(member.name):
                break
            continue
        _check_unique_file(member, seen, file)
        seen.add(member.name)
        if member.size <= _BYTES_MAX[member.name]:
            files[member.name] = _content(stream, member, file)
            if member.name == INDEX_JSON:
                stream.bytes_max = unpacked_bytes_max
        elif member.name == INDEX_JSON:
            raise BadPackage(
                "index-json-too-large",
                f"{file}: info/index.json has {member.size} bytes; "
                f"the limit is {INDEX_JSON_BYTES_MAX}.",
            )
        elif member.name == RUN_EXPORTS_JSON:
            files[member.name] = None
    if INDEX_JSON not in files:
        raise BadPackage(
            "index-json-missing",
            f"{file} does not contain info/index.json: it is not a conda package.",
        )
    return files


def read_matching_members(
    unpacked: Iterable[bytes],
    file: str,
    *,
    is_wanted: Callable[[str], bool],
    bytes_max: int,
    unpacked_bytes_max: int,
) -> Iterator[tuple[str, bytes]]:
    """Yield every member whose name is ``is_wanted``, of at most ``bytes_max`` bytes each."""
    stream = _TarStream(unpacked, unpacked_bytes_max, file)
    seen: set[str] = set()
    for member in _members(stream, file):
        if not is_wanted(member.name):
            continue
        _check_unique_file(member, seen, file)
        seen.add(member.name)
        if member.size > bytes_max:
            raise BadPackage(
                "member-too-large",
                f"{file}: {member.name} has {member.size} bytes; the limit is {bytes_max}.",
            )
        yield member.name, _content(stream, member, file)


def truncated_error(file: str) -> BadPackage:
    """Make the reject for an archive that ends too early."""
    return BadPackage(
        "truncated",
        f"{file} is truncated, probably by an incomplete copy. Build or upload it again.",
    )


def _check_unique_file(member: _Member, seen: set[str], file: str) -> None:
    if member.kind not in _FILES:
        raise BadPackage(
            "info-member-not-a-file",
            f"{file}: {member.name} is a link, a directory or a device instead of a regular file.",
        )
    if member.name in seen:
        raise BadPackage(
            "info-member-duplicate",
            f"{file} contains {member.name} twice, and clients disagree about which one to use.",
        )


def _in_info(name: str) -> bool:
    return name in ("", "info") or name.startswith("info/")


def _content(stream: _TarStream, member: _Member, file: str) -> bytes:
    """Read the file that a member unpacks to."""
    if member.extents is None:
        return stream.read(member.stored)
    if member.stored > member.size + TAR_EXTENDED_HEADERS_BYTES_MAX:
        raise _damaged(file)
    data, extents = stream.read(member.stored), member.extents
    try:
        if member.map_in_data:
            extents, data = tar_sparse.split_map(data)
        return tar_sparse.expand(data, extents, member.size)
    except ValueError as error:
        raise _damaged(file) from error


@dataclass(slots=True)
class _Overrides:
    """What extended headers say about the next member."""

    name: str | None = None
    size: int | None = None
    """Bytes of its data in the archive."""
    sparse: PaxSparse = field(default_factory=PaxSparse)


def _members(stream: _TarStream, file: str) -> Iterator[_Member]:
    """Yield each member with the stream at its data; skip data that the caller does not read."""
    overrides = _Overrides()
    for _ in range(TAR_HEADERS_MAX):
        block = stream.read_header_block()
        if block is None:
            return
        header = _header(block, file)
        kind = header.type
        if kind == tarfile.GNUTYPE_LONGNAME:
            long_name = stream.read_extended(header.size).split(b"\0", 1)[0]
            overrides.name = long_name.decode("utf-8", "replace")
        elif kind in _PAX:
            _read_pax(stream.read_extended(header.size), overrides, file)
        elif kind in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
            stream.read_extended(header.size)
        else:
            member = _member(stream, block, header, overrides, file)
            end = stream.position + _padded(member.stored)
            yield member
            stream.skip(end - stream.position)
            overrides = _Overrides()
    raise BadPackage(
        "tar-too-many-members",
        f"{file} contains more than {TAR_HEADERS_MAX} members before its info/index.json or in "
        "info/. info/ must be small and at the start of the archive.",
    )


def _header(block: bytes, file: str) -> _Header:
    return _usual_header(block) or _any_header(block, file)


def _usual_header(block: bytes) -> _Header | None:
    """Read a header as ``tarfile`` does; ``None`` if it is not in the usual form."""
    usual = _USUAL_HEADER.fullmatch(block)
    if usual is None or usual["type"] not in _USUAL_TYPES:
        return None
    if _octal(usual["checksum"]) != sum(block) - sum(block[_CHECKSUM_AT]) + _CHECKSUM_BLANKS:
        return None
    name, prefix = _text(usual["name"]), _text(usual["prefix"])
    if usual["type"] == tarfile.DIRTYPE:
        name = name.rstrip("/")
    return _Header(usual["type"], f"{prefix}/{name}" if prefix else name, _octal(usual["size"]))


def _octal(field_: bytes) -> int:
    return int(field_.partition(b"\0")[0] or b"0", 8)


def _text(field_: bytes) -> str:
    return field_.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _any_header(block: bytes, file: str) -> _Header:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise _damaged(file) from error
    if header.size < 0:
        raise _damaged(file)
    return _Header(header.type, header.name, header.size)


def _member(
    stream: _TarStream, block: bytes, header: _Header, overrides: _Overrides, file: str
) -> _Member:
    """Describe a member, and read the blocks between its header and its data."""
    kind, sparse = header.type, overrides.sparse
    name = header.name if overrides.name is None else overrides.name
    stored = header.size if overrides.size is None else overrides.size
    stored = 0 if kind in _WITHOUT_DATA else stored
    try:
        if kind == tarfile.GNUTYPE_SPARSE:
            extents = tar_sparse.header_extents(block, _read_extensions(stream, block))
            return _Member(_normalised(name), kind, tar_sparse.real_size(block), stored, extents)
        if not sparse.is_set or kind in _WITHOUT_DATA:
            return _Member(_normalised(name), kind, stored, stored)
        if sparse.name is not None:
            name = sparse.name.decode("utf-8", "replace")
        return _Member(
            _normalised(name),
            kind,
            sparse.real_size or 0,
            stored,
            sparse.extents,
            map_in_data=sparse.map_in_data,
        )
    except ValueError as error:
        raise _damaged(file) from error


def _read_extensions(stream: _TarStream, header: bytes) -> list[bytes]:
    """Read the extension blocks of a header of the typeflag ``S``."""
    extensions: list[bytes] = []
    follows = tar_sparse.is_extended(header)
    while follows:
        extensions.append(stream.read_extended(tarfile.BLOCKSIZE))
        follows = tar_sparse.extension_is_extended(extensions[-1])
    return extensions


def _read_pax(data: bytes, overrides: _Overrides, file: str) -> None:
    """Take what matters from records ``<length> <key>=<value>`` and a line feed."""
    at = 0
    while at < len(data) and data[at] != 0:
        space = data.find(b" ", at, at + _LENGTH_DIGITS_MAX)
        digits = data[at : max(space, at)]
        end = at + int(digits) if digits.isdigit() else 0
        if not space < end <= len(data) or data[end - 1 : end] != b"\n":
            raise _damaged(file)
        key, _, value = data[space + 1 : end - 1].partition(b"=")
        try:
            if key == b"path":
                overrides.name = value.decode("utf-8", "replace")
            elif key == b"size":
                overrides.size = tar_sparse.decimal(value)
            elif key.startswith(_PAX_SPARSE):
                overrides.sparse.add(key.removeprefix(_PAX_SPARSE), value)
        except ValueError as error:
            raise _damaged(file) from error
        at = end


def _normalised(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _damaged(file: str) -> BadPackage:
    return BadPackage("tar-invalid", f"{file}: its tar archive is damaged.")


class _TarStream:
    """A forward-only tar stream that counts the bytes it reads."""

    def __init__(self, chunks: Iterable[bytes], bytes_max: int, file: str) -> None:
        self.position = 0
        """Bytes consumed so far."""
        self.bytes_max = bytes_max
        """Bytes that may be consumed.  What a chunk holds beyond them does not count, because zstd
        makes megabytes of zeros at once, and files behind the wanted ones are nobody's fault."""
        self._chunks = iter(chunks)
        self._file = file
        self._extended = 0
        self._chunk = b""
        self._at = 0

    def read_header_block(self) -> bytes | None:
        """Read the block of the next header; ``None`` at the end of the archive."""
        if not self._fill():
            return None  # as lenient as tarfile and tar-rs: the closing zeros may be missing
        block = self.read(tarfile.BLOCKSIZE)
        return block if any(block) else None

    def read_extended(self, size: int) -> bytes:
        """Read the data of an extended header."""
        self._extended += size
        if self._extended > TAR_EXTENDED_HEADERS_BYTES_MAX:
            raise _damaged(self._file)
        data = self.read(size)
        self.skip(_padded(size) - size)
        return data

    def read(self, size: int) -> bytes:
        """Read exactly ``size`` bytes."""
        end = self._at + size
        if end > len(self._chunk):
            return b"".join(self._take(size))
        piece = self._chunk[self._at : end]
        self._advance(size)
        return piece

    def skip(self, size: int) -> None:
        """Skip exactly ``size`` bytes."""
        if self._at + size <= len(self._chunk):
            self._advance(size)
            return
        for _ in self._take(size):
            pass

    def _take(self, size: int) -> Iterator[bytes]:
        while size > 0:
            if not self._fill():
                raise truncated_error(self._file)
            piece = self._chunk[self._at : self._at + size]
            size -= len(piece)
            self._advance(len(piece))
            yield piece

    def _advance(self, size: int) -> None:
        self._at += size
        self.position += size
        if self.position > self.bytes_max:
            raise LimitExceeded(
                "info-too-large",
                f"{self._file}: its metadata was not complete after unpacking "
                f"{self.bytes_max // MIB} MiB. info/ must be small and at the start of the "
                "archive.",
            )

    def _fill(self) -> bool:
        """Make sure that there are bytes to read; ``False`` at the end."""
        while self._at == len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._chunk, self._at = chunk, 0
        return True
