"""Zstandard, the same bytes for the same content: one frame, parameters chosen by size alone."""

from __future__ import annotations

import threading
from contextlib import suppress

import zstandard

from sluice.errors import Corrupt
from sluice.limits import MIB, STORED_OBJECT_BYTES_MAX

_LEVEL_PRIVATE = 3


def _parameters(**more: int) -> zstandard.ZstdCompressionParameters:
    """What suits an index: long repeats close by, and digests between them.

    A short match inside a digest costs more than the hex digits that it replaces.  zstd's levels
    below 16 take such matches and are 20 % larger than level 19 for it; with none below six bytes
    the same parser is within 3 to 15 % (docs/performance.md).
    """
    return zstandard.ZstdCompressionParameters(
        strategy=zstandard.STRATEGY_LAZY2, min_match=6, search_log=4, **more
    )


# By size alone, so that the bytes depend on nothing but the content.  Level 19 looks back 8 MiB:
# below twice that it sees a package's .tar.bz2 from its .conda in the other half of the file, and
# so must we.  Beyond there is nothing more to see, and the smaller the table, the fewer matches are
# found that are too far away to be worth it.  Below 8 MiB a table of a million positions is enough,
# and takes a quarter less CPU time.
_PARAMETERS_BY_SIZE = (
    (8 * MIB, _parameters(window_log=23, hash_log=20)),
    (16 * MIB, _parameters(window_log=23, hash_log=22)),
)
# With workers zstd cuts the input into jobs of this size and compresses each by itself, so the
# bytes do not depend on how many workers or cores there are, as long as there is one worker.
_LARGE_PARAMETERS = _parameters(window_log=20, hash_log=16, threads=2, job_size=4 * MIB)


class _PerThread(threading.local):
    """A decompressor may be used again, not shared; making one takes longer than a leaf."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()


_per_thread = _PerThread()


def compress_private(data: bytes) -> bytes:
    """Compress what no client downloads: mostly digests, on which a high level is wasted."""
    return zstandard.ZstdCompressor(level=_LEVEL_PRIVATE).compress(data)


def compress(data: bytes) -> bytes:
    """Compress what clients download into a single frame that carries its content size.

    Several clients stop reading after the first frame, and some size their buffer by the header.
    """
    parameters = next(
        (candidate for below, candidate in _PARAMETERS_BY_SIZE if len(data) < below),
        _LARGE_PARAMETERS,
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def content_size(data: bytes) -> int:
    """Bytes without compression, by the header that ``compress`` writes."""
    return zstandard.frame_content_size(data)


def decompress(data: bytes, *, bytes_max: int = STORED_OBJECT_BYTES_MAX) -> bytes:
    """Undo ``compress``; also reads the frames of other tools, which may not tell their size.

    Raises ``Corrupt`` for anything that is not zstd, ends before the size that it tells, or is
    larger than ``bytes_max``.
    """
    try:
        declared = content_size(data)  # -1: unknown
        if 0 <= declared <= bytes_max:
            # In one call, which takes half the time: the result is not joined from pieces.
            with suppress(zstandard.ZstdError):  # there may be more frames; else it is said below
                return _per_thread.decompressor.decompress(data, allow_extra_data=False)
        return _decompress_stream(data, declared, bytes_max)
    except zstandard.ZstdError as error:
        raise Corrupt(f"not zstd data: {error}") from error


def _decompress_stream(data: bytes, declared: int, bytes_max: int) -> bytes:
    pieces: list[bytes] = []
    total = 0
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    while piece := reader.read(16 * MIB):
        total += len(piece)
        if total > bytes_max:
            raise Corrupt(f"zstd data decompresses to more than {bytes_max:,} bytes")
        pieces.append(piece)
    if total < declared:  # the reader takes the end of the data for the end of the frame
        raise Corrupt(f"zstd data ends after {total:,} of {declared:,} bytes")
    return b"".join(pieces)
