"""Tar archives with members that ``tarfile`` reads and does not write: sparse files above all."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass

SPARSE_STYLES = ("old", "0.0", "0.1", "1.0")
"""GNU tar's formats for sparse files."""

_BLOCK = tarfile.BLOCKSIZE
_SIZE_FIELD, _CHECKSUM_FIELD = slice(124, 136), slice(148, 156)
_HEADER_PARTS, _EXTENSION_PARTS = 4, 21
_SHORT_NAME = 90


@dataclass(frozen=True, slots=True)
class SparseFile:
    """A file of which only some parts are stored."""

    name: str
    parts: Sequence[tuple[int, bytes]]
    """By offset, in order, without overlaps."""
    size: int

    @property
    def content(self) -> bytes:
        content = bytearray(self.size)
        for offset, data in self.parts:
            content[offset : offset + len(data)] = data
        return bytes(content)

    @property
    def stored(self) -> bytes:
        return b"".join(data for _, data in self.parts)

    def numbers(self) -> list[int]:
        # GNU tar ends the map of a file that ends in a hole with an empty part.
        parts = [(offset, len(data)) for offset, data in self.parts]
        if not parts or sum(parts[-1]) < self.size:
            parts.append((self.size, 0))
        return [number for part in parts for number in part]


def sparse_member(file: SparseFile, style: str) -> bytes:
    """The blocks of one sparse file."""
    if style == "old":
        return _old_member(file)
    numbers = file.numbers()
    folder, _, base = file.name.rpartition("/")
    hidden = "/".join(filter(None, [folder, "GNUSparseFile.7", base]))
    size, count = str(file.size), str(len(numbers) // 2)
    if style == "0.0":
        records = [("GNU.sparse.size", size), ("GNU.sparse.numblocks", count)]
        keys = ["GNU.sparse.offset", "GNU.sparse.numbytes"] * (len(numbers) // 2)
        records += [(key, str(number)) for key, number in zip(keys, numbers, strict=True)]
        return pax_member(file.name, file.stored, records)
    if style == "0.1":
        joined = ",".join(map(str, numbers))
        records = [("GNU.sparse.size", size), ("GNU.sparse.numblocks", count)]
        records += [("GNU.sparse.name", file.name), ("GNU.sparse.map", joined)]
        return pax_member(hidden, file.stored, records)
    records = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")]
    records += [("GNU.sparse.name", file.name), ("GNU.sparse.realsize", size)]
    table = "".join(f"{number}\n" for number in [int(count), *numbers]).encode()
    return pax_member(hidden, _padded(table) + file.stored, records)


def pax_member(
    name: str, data: bytes, records: Sequence[tuple[str, str]] = (), *, kind: bytes = b"0"
) -> bytes:
    """A member with pax records in front; a long name is one of them."""
    all_records = [*records, *([("path", name)] if len(name) > _SHORT_NAME else [])]
    body = b"".join(_record(key, value) for key, value in all_records)
    pax = tarfile.TarInfo("pax")
    pax.type, pax.size = tarfile.XHDTYPE, len(body)
    header = tarfile.TarInfo(name[-_SHORT_NAME:])
    header.type, header.size = kind, len(data)
    in_front = pax.tobuf(tarfile.USTAR_FORMAT) + _padded(body) if body else b""
    return in_front + header.tobuf(tarfile.USTAR_FORMAT) + _padded(data)


def gnu_member(
    name: str, data: bytes = b"", *, kind: bytes = b"0", target: str = "", base_256: bool = False
) -> bytes:
    """A member as GNU tar writes it; ``base_256``: with its size as that of a huge one."""
    header = tarfile.TarInfo(name)
    header.type, header.size, header.linkname = kind, len(data), target
    blocks = header.tobuf(tarfile.GNU_FORMAT)
    if base_256:
        last = bytearray(blocks[-_BLOCK:])
        last[_SIZE_FIELD] = b"\x80" + len(data).to_bytes(11, "big")
        blocks = blocks[:-_BLOCK] + _with_checksum(last)
    return blocks + _padded(data)


def end_of_archive() -> bytes:
    return bytes(2 * _BLOCK)


def _old_member(file: SparseFile) -> bytes:
    header = tarfile.TarInfo(file.name)
    header.type, header.size = tarfile.GNUTYPE_SPARSE, len(file.stored)
    blocks = header.tobuf(tarfile.GNU_FORMAT)
    numbers = file.numbers()
    table, rest = numbers[: 2 * _HEADER_PARTS], numbers[2 * _HEADER_PARTS :]
    last = bytearray(blocks[-_BLOCK:])
    fields = b"".join(map(_octal, table))
    last[386 : 386 + len(fields)] = fields
    last[482] = bool(rest)
    last[483:495] = _octal(file.size)
    extensions = b""
    while rest:
        table, rest = rest[: 2 * _EXTENSION_PARTS], rest[2 * _EXTENSION_PARTS :]
        block = bytearray(_padded(b"".join(map(_octal, table))))
        block[504] = bool(rest)
        extensions += bytes(block)
    return blocks[:-_BLOCK] + _with_checksum(last) + extensions + _padded(file.stored)


def _with_checksum(header: bytearray) -> bytes:
    header[_CHECKSUM_FIELD] = b" " * 8
    header[_CHECKSUM_FIELD] = b"%06o\0 " % sum(header)
    return bytes(header)


def _octal(number: int) -> bytes:
    return b"%011o\0" % number


def _record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)
