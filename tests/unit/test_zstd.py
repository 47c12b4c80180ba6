"""Compression: one frame, the same bytes for the same content, limits on the way back."""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256
from itertools import count, islice

import pytest
import zstandard

from sluice import zstd
from sluice.errors import Corrupt
from sluice.limits import KIB, MIB
from tests.unit.sample_indexes import KINDS


@cache
def noise(size: int) -> bytes:
    """Bytes that do compress, a little."""
    blocks = (sha256(str(n).encode()).hexdigest().encode() for n in count())
    return b"".join(islice(blocks, size // 64 + 1))[:size]


@cache
def packed(size: int) -> bytes:
    """Such bytes, compressed."""
    return zstd.compress(noise(size))


SMALL, LARGE = 512 * KIB, 17 * MIB  # LARGE is compressed by workers
WINDOW_LOG_MAX = 23
"""That of level 19: no client needs more memory than for other indexes."""


def level_19(data: bytes) -> bytes:
    """Compress as rattler-index does: as a stream, so that zstd does not know the size."""
    compressor = zstandard.ZstdCompressor(level=19).compressobj()
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize("size", [0, 2, SMALL, 16 * MIB])
def test_a_single_frame_tells_its_size_and_comes_back_whole(size: int) -> None:
    data, frame = noise(size), packed(size)
    parameters = zstandard.get_frame_parameters(frame)
    assert parameters.content_size == len(data)
    assert zstandard.ZstdDecompressor().decompress(frame) == data
    assert zstd.decompress(frame) == data


@pytest.mark.parametrize("size", [SMALL, 16 * MIB - 2, LARGE])
def test_one_frame_is_all_and_needs_no_larger_window_than_level_19(size: int) -> None:
    frame = packed(size)
    reader = zstandard.ZstdDecompressor(max_window_size=2**WINDOW_LOG_MAX).decompressobj()
    assert len(reader.decompress(frame)) == size
    assert reader.eof
    assert reader.unused_data == b""


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_the_same_content_gives_the_same_bytes(size: int) -> None:
    assert zstd.compress(bytes(bytearray(noise(size)))) == packed(size)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_bytes_do_not_depend_on_the_number_of_cores(size: int) -> None:
    data = noise(size)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        alone = zstd.compress(data)
    finally:
        os.sched_setaffinity(0, cores)
    assert alone == packed(size)


@pytest.mark.parametrize("workers", [1, 3])
def test_bytes_do_not_depend_on_the_number_of_workers(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = noise(LARGE)
    other = zstd._parameters(window_log=20, hash_log=16, threads=workers, job_size=4 * MIB)
    monkeypatch.setattr(zstd, "_LARGE_PARAMETERS", other)
    assert zstd.compress(data) == packed(LARGE)


# docs/performance.md has larger ones, which level 19 takes up to minutes for.
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("records", [100, 1_000, 5_000])
def test_an_index_is_at_most_a_quarter_larger_than_rattlers(kind: str, records: int) -> None:
    index = KINDS[kind](records)
    assert len(zstd.compress(index)) <= 1.25 * len(level_19(index))


def test_a_frame_that_does_not_tell_its_size_is_read_too() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False)
    assert zstd.decompress(compressor.compress(b"data")) == b"data"


def test_a_bomb_is_corrupt_before_it_fills_the_memory() -> None:
    bomb = zstandard.ZstdCompressor().compress(b"\0" * 40 * MIB)
    with pytest.raises(Corrupt, match="decompresses to more than 1,048,576 bytes"):
        zstd.decompress(bomb, bytes_max=MIB)


def test_a_size_at_the_limit_is_read() -> None:
    assert len(zstd.decompress(zstd.compress(b"\0" * MIB), bytes_max=MIB)) == MIB


@pytest.mark.parametrize("data", [b"not zstd at all", b"\x28\xb5\x2f\xfd" + b"\xff" * 20])
def test_what_is_not_zstd_is_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt, match="not zstd data"):
        zstd.decompress(data)


@pytest.mark.parametrize("kept", [0, 3, 12, -1])
def test_a_frame_that_ends_early_is_corrupt(kept: int) -> None:
    with pytest.raises(Corrupt):
        zstd.decompress(packed(MIB)[:kept])
