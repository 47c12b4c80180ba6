from __future__ import annotations

import bz2
from collections.abc import Iterator

import pytest

from sluice.errors import BadPackage
from sluice.limits import MIB
from sluice.package import tar_bz2 as tarbz2
from sluice.package.read_limits import FULL_READ
from sluice.package.tar_bz2 import TRAILER_BYTES, check_not_truncated, read_tar_bz2_info
from tests.support.package_archives import TAR_BZ2, Entry, index_entry, tar, tar_bz2

INDEX = index_entry()
FOUND = {"info/index.json": INDEX.data}
PAYLOAD = Entry("lib/a", bytes(range(256)) * 8000)
GOOD = tar_bz2(INDEX, PAYLOAD)


def code(body: bytes) -> str:
    with pytest.raises(BadPackage) as refused:
        read_tar_bz2_info([body], TAR_BZ2, FULL_READ)
    return refused.value.code


@pytest.mark.parametrize("chunk", [1, 1000, 10**9])
def test_info_is_found_in_every_chunking(chunk: int) -> None:
    body = tar_bz2(PAYLOAD, INDEX)
    chunks = (body[at : at + chunk] for at in range(0, len(body), chunk))
    assert read_tar_bz2_info(chunks, TAR_BZ2, FULL_READ) == FOUND


def test_streams_of_a_parallel_compressor_are_read_as_one() -> None:
    body = tar([PAYLOAD, INDEX])
    half = len(body) // 2
    packed = bz2.compress(body[:half]) + bz2.compress(b"") + bz2.compress(body[half:])
    assert read_tar_bz2_info([packed], TAR_BZ2, FULL_READ) == FOUND


def test_nothing_behind_info_is_taken() -> None:
    def chunks() -> Iterator[bytes]:
        yield GOOD
        raise AssertionError("read on")

    assert read_tar_bz2_info(chunks(), TAR_BZ2, FULL_READ) == FOUND


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "truncated"),
        (b"not bzip2 at all", "bz2-invalid"),
        (GOOD[:4], "truncated"),
        (bz2.compress(tar([PAYLOAD, INDEX]))[:2000], "truncated"),
        (GOOD[:40] + b"\xff" * 40 + GOOD[80:], "bz2-invalid"),
        (bz2.compress(b"not tar" * 1000), "tar-invalid"),
        (tar_bz2(PAYLOAD), "index-json-missing"),
    ],
)
def test_damaged_files_are_refused(body: bytes, expected: str) -> None:
    assert code(body) == expected


def test_garbage_behind_the_last_stream_is_no_more_data() -> None:
    assert code(bz2.compress(b"") + b"garbage") == "index-json-missing"


@pytest.mark.parametrize("garbage", [b"B", b"BZ", b"BZr\xe8", b"BZh", b"\0\0"])
def test_what_follows_the_last_stream_counts_the_same_wherever_it_is_cut(garbage: bytes) -> None:
    """Half a magic number at the end of a chunk is not yet another stream."""
    body = bz2.compress(b"") + garbage
    verdicts = set()
    for chunk in range(1, len(body) + 1):
        chunks = (body[at : at + chunk] for at in range(0, len(body), chunk))
        with pytest.raises(BadPackage) as refused:
            read_tar_bz2_info(chunks, TAR_BZ2, FULL_READ)
        verdicts.add(refused.value.code)
    begins_a_stream = garbage == b"BZh"
    assert verdicts == {"truncated" if begins_a_stream else "index-json-missing"}


def test_a_tar_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarbz2, "TAR_BZ2_INDEX_BYTES_MAX", 4 * MIB)
    bomb = tar_bz2(Entry("lib/zeros", bytes(8 * MIB)), INDEX)
    assert len(bomb) < 1000
    assert code(bomb) == "info-too-large"


def test_info_may_be_larger_than_what_is_unpacked_in_search_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tarbz2, "TAR_BZ2_INDEX_BYTES_MAX", MIB)
    monkeypatch.setattr(tarbz2, "TAR_BZ2_UNPACKED_BYTES_MAX", 4 * MIB)
    run_exports = Entry("info/run_exports.json", b"{}")
    body = tar_bz2(INDEX, Entry("info/test/data", bytes(2 * MIB)), run_exports)
    assert read_tar_bz2_info([body], TAR_BZ2, FULL_READ) == {**FOUND, run_exports.name: b"{}"}
    body = tar_bz2(INDEX, Entry("info/test/data", bytes(5 * MIB)), run_exports)
    assert code(body) == "info-too-large"


def test_a_bomb_behind_info_is_never_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarbz2, "TAR_BZ2_UNPACKED_BYTES_MAX", 4 * MIB)
    body = tar_bz2(INDEX, Entry("lib/zeros", bytes(64 * MIB)))
    assert read_tar_bz2_info([body], TAR_BZ2, FULL_READ) == FOUND


def test_endless_empty_streams_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarbz2, "BZ2_STREAMS_MAX", 100)
    assert code(bz2.compress(b"") * 200) == "bz2-invalid"


@pytest.mark.parametrize("length", range(1, 20))
def test_every_whole_file_ends_properly_and_no_cut_one_does(length: int) -> None:
    body = bz2.compress(b"x" * length * 37)
    check_not_truncated(body[-TRAILER_BYTES:], TAR_BZ2)
    for cut in range(1, len(body)):
        with pytest.raises(BadPackage) as refused:
            check_not_truncated(body[:-cut][-TRAILER_BYTES:], TAR_BZ2)
        assert refused.value.code == "truncated"
