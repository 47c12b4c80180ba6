"""Sparse members of a tar archive: which parts of a file the archive holds.  Pure.

GNU tar has four formats, all of which ``tar -S`` has written.  The oldest (typeflag ``S``) keeps
the map of the parts in the header and in extension blocks behind it.  The formats 0.0, 0.1 and 1.0
are ordinary members with pax records; 1.0 keeps the map in front of the data.
https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

BLOCK_BYTES = 512
GNU_SPARSE = b"S"

_NUMBER_BYTES = 12
_MAP_START, _MAP_PARTS = 386, 4
_IS_EXTENDED, _REAL_SIZE = 482, 483
_EXTENSION_PARTS, _EXTENSION_IS_EXTENDED = 21, 504
_BASE_256 = 0x80
_DIGITS_MAX = 20

Extent = tuple[int, int]
"""Offset in the file and length, in bytes."""


@dataclass(slots=True)
class PaxSparse:
    """What the pax records ``GNU.sparse.*`` say about the next member."""

    name: bytes | None = None
    real_size: int | None = None
    """Bytes of the whole file."""
    map_in_data: bool = False
    """Whether the map is in front of the data (format 1.0)."""
    _numbers: list[int] = field(default_factory=list)
    _version: tuple[bytes, bytes] = (b"", b"")

    @property
    def is_set(self) -> bool:
        """Whether the member is sparse."""
        return self.real_size is not None

    @property
    def extents(self) -> Sequence[Extent]:
        """The parts, in the formats 0.0 and 0.1; raises ``ValueError``."""
        return pairs(self._numbers)

    def add(self, key: bytes, value: bytes) -> None:
        """Take a record ``GNU.sparse.<key>``; raises ``ValueError`` for one that is malformed."""
        match key:
            case b"name":
                self.name = value
            case b"size" | b"realsize":
                self.real_size = decimal(value)
            case b"offset" | b"numbytes":  # 0.0 repeats these two for each part
                self._numbers.append(decimal(value))
            case b"map":
                self._numbers = [decimal(number) for number in value.split(b",") if number]
            case b"major" | b"minor":
                major, minor = self._version
                self._version = (value, minor) if key == b"major" else (major, value)
                self.map_in_data = self._version == (b"1", b"0")


def is_extended(header: bytes) -> bool:
    """Whether extension blocks follow a header of the typeflag ``S``."""
    return header[_IS_EXTENDED] != 0


def extension_is_extended(block: bytes) -> bool:
    """Whether another extension block follows this one."""
    return block[_EXTENSION_IS_EXTENDED] != 0


def real_size(header: bytes) -> int:
    """Bytes of the whole file, from a header of the typeflag ``S``; raises ``ValueError``."""
    return _number(header[_REAL_SIZE : _REAL_SIZE + _NUMBER_BYTES])


def header_extents(header: bytes, extensions: Sequence[bytes]) -> Sequence[Extent]:
    """The parts, from a header of the typeflag ``S`` and its extension blocks.

    Raises ``ValueError`` if a number is malformed.
    """
    numbers = [*_numbers(header, _MAP_START, _MAP_PARTS)]
    for block in extensions:
        numbers += _numbers(block, 0, _EXTENSION_PARTS)
    return [extent for extent in pairs(numbers) if extent[1]]


def split_map(stored: bytes) -> tuple[Sequence[Extent], bytes]:
    """Split the data of format 1.0 into its map and the parts; raises ``ValueError``.

    The map is lines of decimal numbers, their count of pairs first, padded to whole blocks.
    """
    at = 0

    def line() -> int:
        nonlocal at
        end = stored.find(b"\n", at, at + _DIGITS_MAX + 1)
        number = decimal(stored[at : max(end, at)])
        at = end + 1
        return number

    count = line()
    if count > len(stored):
        raise ValueError("a sparse map of more parts than bytes")
    numbers = [line() for _ in range(2 * count)]
    return pairs(numbers), stored[-(-at // BLOCK_BYTES) * BLOCK_BYTES :]


def expand(stored: bytes, extents: Sequence[Extent], size: int) -> bytes:
    """Put the parts into a file of ``size`` bytes; raises ``ValueError`` if they do not fit."""
    content = bytearray()
    at = 0
    for offset, length in extents:
        if offset < len(content) or offset + length > size or at + length > len(stored):
            raise ValueError("the parts of a sparse file do not fit")
        content += bytes(offset - len(content)) + stored[at : at + length]
        at += length
    if at != len(stored):
        raise ValueError("a sparse file has more data than its map says")
    return bytes(content) + bytes(size - len(content))


def pairs(numbers: Sequence[int]) -> Sequence[Extent]:
    """Two by two; raises ``ValueError`` for an odd count."""
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def decimal(digits: bytes) -> int:
    """A number of decimal digits of bounded length; raises ``ValueError``."""
    if not digits.isdigit() or len(digits) > _DIGITS_MAX:
        raise ValueError("not a number")
    return int(digits)


def _numbers(block: bytes, start: int, parts: int) -> Iterator[int]:
    for at in range(start, start + 2 * parts * _NUMBER_BYTES, _NUMBER_BYTES):
        yield _number(block[at : at + _NUMBER_BYTES])


def _number(text: bytes) -> int:
    """A number of a header: octal, or in base 256 from 8 GiB on."""
    if text[0] & _BASE_256:
        return int.from_bytes(bytes([text[0] & ~_BASE_256]) + text[1:], "big")
    digits = text.partition(b"\0")[0].strip(b" ")
    if digits and not digits.isdigit():
        raise ValueError("not a number")
    return int(digits or b"0", 8)
