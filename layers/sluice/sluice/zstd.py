"""Zstandard, the same bytes for the same content: one frame, parameters chosen by size alone."""

from __future__ import annotations

import zstandard

from sluice.errors import Corrupt
from sluice.limits import KIB, MIB, STORED_OBJECT_BYTES_MAX

# Measured on two cores on real repodata (docs/architecture.md): level 19 takes 2.8 s for 5 MB and
# saves 15 to 19 % against level 12, so it is worth its time only while the file is small.
_LEVEL_BELOW_BYTES = ((512 * KIB, 19), (4 * MIB, 12), (128 * MIB, 9))
_LEVEL_BEYOND = 6
_LEVEL_PRIVATE = 3

# With workers zstd cuts the input into jobs whose size follows from the level alone, so the bytes
# do not depend on how many cores there are.  Below this size there would be only one job.
_THREADED_FROM_BYTES = 4 * MIB
_WORKERS = 2


def compress_private(data: bytes) -> bytes:
    """Compress what no client downloads: mostly digests, on which a high level is wasted."""
    return zstandard.ZstdCompressor(level=_LEVEL_PRIVATE).compress(data)


def compress(data: bytes) -> bytes:
    """Compress what clients download into a single frame that carries its content size.

    Several clients stop reading after the first frame, and some size their buffer by the header.
    """
    level = next((level for below, level in _LEVEL_BELOW_BYTES if len(data) < below), _LEVEL_BEYOND)
    workers = _WORKERS if len(data) >= _THREADED_FROM_BYTES else 0
    return zstandard.ZstdCompressor(level=level, threads=workers).compress(data)


def decompress(data: bytes, *, bytes_max: int = STORED_OBJECT_BYTES_MAX) -> bytes:
    """Undo ``compress``; also reads the frames of other tools, which may not tell their size.

    Raises ``Corrupt`` for anything that is not zstd, ends before the size that it tells, or is
    larger than ``bytes_max``.
    """
    pieces: list[bytes] = []
    total = 0
    try:
        told = zstandard.frame_content_size(data)  # -1: it does not tell
        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        while piece := reader.read(16 * MIB):
            total += len(piece)
            if total > bytes_max:
                raise Corrupt(f"zstd data decompresses to more than {bytes_max:,} bytes")
            pieces.append(piece)
    except zstandard.ZstdError as error:
        raise Corrupt(f"not zstd data: {error}") from error
    if total < told:  # the reader takes the end of the data for the end of the frame
        raise Corrupt(f"zstd data ends after {total:,} of {told:,} bytes")
    return b"".join(pieces)
