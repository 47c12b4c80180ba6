"""Compression: one frame, the same bytes for the same content, limits on the way back."""

from __future__ import annotations

from hashlib import sha256
from itertools import count, islice

import pytest
import zstandard

from sluice import zstd
from sluice.errors import Corrupt
from sluice.limits import KIB, MIB


def noise(size: int) -> bytes:
    """Bytes that do compress, a little."""
    blocks = (sha256(str(n).encode()).hexdigest().encode() for n in count())
    return b"".join(islice(blocks, size // 64 + 1))[:size]


@pytest.mark.parametrize("size", [0, 2, 512 * KIB - 2, 512 * KIB, 4 * MIB - 2, 4 * MIB, 9 * MIB])
def test_a_single_frame_tells_its_size_and_comes_back_whole(size: int) -> None:
    data = noise(size)
    packed = zstd.compress(data)
    parameters = zstandard.get_frame_parameters(packed)
    assert parameters.content_size == len(data)
    assert zstandard.ZstdDecompressor().decompress(packed) == data
    assert zstd.decompress(packed) == data


@pytest.mark.parametrize("size", [100 * KIB, 6 * MIB])
def test_the_same_content_gives_the_same_bytes(size: int) -> None:
    data = noise(size)
    assert zstd.compress(data) == zstd.compress(bytes(bytearray(data)))


def test_bytes_do_not_depend_on_the_number_of_workers_beyond_one() -> None:
    data = noise(6 * MIB)
    one = zstandard.ZstdCompressor(level=9, threads=1).compress(data)
    assert zstd.compress(data) == one


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
        zstd.decompress(zstd.compress(noise(MIB))[:kept])
