"""The ``.tar.bz2`` format (CEP 35): one bzip2-compressed tar with ``info/`` and the payload."""

from __future__ import annotations

from bz2 import BZ2Decompressor
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sluice.errors import BadPackage
from sluice.limits import (
    BZ2_STREAMS_MAX,
    TAR_BZ2_INDEX_BYTES_MAX,
    TAR_BZ2_UNPACKED_BYTES_MAX,
    UNPACK_CHUNK_BYTES,
)
from sluice.package.read_limits import ReadLimits
from sluice.package.tar_stream import InfoFiles, read_info_files, truncated_error

_STREAM_START = b"BZh"
# A bzip2 stream ends in this 48-bit mark, a 32-bit checksum and up to 7 bits of padding.
_END_MARK = 0x177245385090
_END_MARK_BITS = 48
_CHECKSUM_BITS = 32
TRAILER_BYTES = 11


def read_tar_bz2_info(packed: Iterable[bytes], file: str, limits: ReadLimits) -> InfoFiles:
    """Read the wanted files of ``info/``; consumes no more of ``packed`` than necessary."""
    index_bytes_max = min(limits.index_bytes_max, TAR_BZ2_INDEX_BYTES_MAX)
    return read_info_files(
        unpack_tar_bz2(packed, file),
        file,
        replace(limits, index_bytes_max=index_bytes_max),
        unpacked_bytes_max=TAR_BZ2_UNPACKED_BYTES_MAX,
        until_payload=True,
    )


def check_not_truncated(tail: bytes, file: str) -> None:
    """Detect truncation after ``info/`` from the last bytes, without decompression.

    A truncated upload is the most common damage, and the payload is never decompressed here.
    """
    bits = int.from_bytes(tail[-TRAILER_BYTES:], "big") >> _CHECKSUM_BITS
    mask = (1 << _END_MARK_BITS) - 1
    if not any((bits >> padding) & mask == _END_MARK for padding in range(8)):
        raise truncated_error(file)


def unpack_tar_bz2(packed: Iterable[bytes], file: str) -> Iterator[bytes]:
    """Decompress stream after stream, as parallel compressors write them, in small chunks.

    A chunk may be empty: many streams without content may follow each other, and the caller must be
    able to check its time limit in between.
    """
    streams = 1
    decompressor = BZ2Decompressor()
    carry = b""
    for piece in _pieces(packed):
        remaining, carry = carry + piece, b""
        while remaining or not (decompressor.needs_input or decompressor.eof):
            if decompressor.eof:
                if len(remaining) < len(_STREAM_START) and _STREAM_START.startswith(remaining):
                    carry = remaining  # too little to show whether another stream begins
                    break
                if not remaining.startswith(_STREAM_START):
                    return  # bzip2 ignores data after the last stream
                streams += 1
                decompressor = BZ2Decompressor()
            try:
                unpacked = decompressor.decompress(remaining, UNPACK_CHUNK_BYTES)
            except OSError as error:
                raise _damaged(file) from error
            remaining = decompressor.unused_data
            yield unpacked
            if streams > BZ2_STREAMS_MAX:
                raise _damaged(file)
    if not decompressor.eof:
        raise truncated_error(file)


def _pieces(packed: Iterable[bytes]) -> Iterator[bytes]:
    # Small ones: the decompressor copies the rest of its input at the end of each stream.
    for chunk in packed:
        for start in range(0, len(chunk), UNPACK_CHUNK_BYTES):
            yield chunk[start : start + UNPACK_CHUNK_BYTES]


def _damaged(file: str) -> BadPackage:
    return BadPackage(
        "bz2-invalid",
        f"{file} is damaged or not a bzip2 file. Build or upload it again.",
    )
