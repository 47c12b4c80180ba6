"""The directory of a zip in the plain form in which builders write a ``.conda``.

``zipfile`` reads every form there is: zip64, comments, data in front of the zip.  It takes a tenth
of a millisecond for the three members of a package, as much as all the rest of the package.  What
is not in the plain form is left to it, and so is whatever looks damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\5\6"
_ENTRY = struct.Struct("<4s6H3L5H2L")
_ENTRY_SIGNATURE = b"PK\1\2"
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_SIGNATURE = b"PK\3\4"
_ZIP64_LOCATOR_SIGNATURE = b"PK\6\7"
_ZIP64_LOCATOR_BYTES = 20
"""What stands before the end of a zip with a second directory, which then counts."""
_ZIP64 = 0xFFFFFFFF
_VERSION_MAX = 20
"""Version 2.0 of the format: that of an uncompressed zip without zip64."""
_UTF8_NAMES = 0x800
_PLAIN_FLAGS = (0, _UTF8_NAMES)
_MEMBERS_MAX = 8
"""A ``.conda`` has three."""


class Member(NamedTuple):
    """One member; the fields are called as those of ``zipfile.ZipInfo``."""

    filename: str
    flag_bits: int
    compress_type: int
    compress_size: int
    file_size: int
    header_offset: int
    CRC: int


class Directory(NamedTuple):
    """The members of a zip."""

    members: Sequence[Member]
    start_dir: int
    """The offset of the directory, at which all members have ended."""


def read_plain_directory(tail: bytes, size: int) -> Directory | None:
    """Read the directory of a zip from the end of its file; ``None`` if it is not plain.

    ``size`` is that of the whole file in bytes.
    """
    if len(tail) < _END.size:
        return None
    signature, disk, first_disk, here, count, length, start, comment = _END.unpack_from(
        tail, len(tail) - _END.size
    )
    at = start - (size - len(tail))
    is_plain = (
        signature == _END_SIGNATURE
        and disk == first_disk == comment == 0
        and here == count <= _MEMBERS_MAX
        and start + length + _END.size == size
        and at >= 0
        and not tail[-_END.size - _ZIP64_LOCATOR_BYTES :].startswith(_ZIP64_LOCATOR_SIGNATURE)
    )
    if not is_plain:
        return None
    members: list[Member] = []
    end = at + length
    for _ in range(count):
        if at + _ENTRY.size > end:
            return None
        entry = _ENTRY.unpack_from(tail, at)
        at += _ENTRY.size
        member = _plain_member(entry, tail[at : at + entry[10]])
        if member is None:
            return None
        members.append(member)
        at += entry[10]
    return Directory(members, start) if at == end else None


def _plain_member(entry: tuple[Any, ...], name: bytes) -> Member | None:
    signature, _, version, flags, method, _, _, crc, packed, unpacked = entry[:10]
    name_bytes, extra, comment, disk, _, _, offset = entry[10:]
    is_plain = (
        signature == _ENTRY_SIGNATURE
        and version <= _VERSION_MAX
        and flags in _PLAIN_FLAGS
        and extra == comment == disk == 0  # an extra field may give another name
        and _ZIP64 not in (packed, unpacked, offset)
        and len(name) == name_bytes
        and name.isascii()
    )
    if not is_plain:
        return None
    filename = name.decode("ascii")
    if not filename.isprintable():
        return None
    return Member(filename, flags, method, packed, unpacked, offset, crc)


def read_plain_member(local: bytes, member: Member) -> bytes | None:
    """The data of an uncompressed member; ``None`` if it is not plain, or damaged.

    ``local`` begins with its local header.
    """
    if len(local) < _LOCAL.size:
        return None
    header = _LOCAL.unpack_from(local)
    name_bytes, extra_bytes = header[9:]
    at = _LOCAL.size + name_bytes
    is_plain = (
        header[0] == _LOCAL_SIGNATURE
        and header[2] == member.flag_bits
        and local[_LOCAL.size : at] == member.filename.encode("ascii")
    )
    data = local[at + extra_bytes : at + extra_bytes + member.compress_size]
    is_whole = len(data) == member.compress_size and crc32(data) == member.CRC
    return data if is_plain and is_whole else None
