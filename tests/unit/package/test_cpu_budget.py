"""What takes too long to unpack is refused, by the CPU's clock."""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterable, Iterator
from itertools import count

import pytest

from sluice.errors import BadPackage, LimitExceeded
from sluice.package import tar_stream
from sluice.package.conda_zip import _decompress_zstd
from sluice.package.cpu_budget import within_cpu_budget
from sluice.package.read_limits import FULL_READ
from sluice.package.tar_bz2 import read_tar_bz2_info, unpack_tar_bz2
from tests.support.package_archives import TAR_BZ2, Entry, index_entry, tar_bz2, zst


def test_chunks_pass_while_there_is_time() -> None:
    clock = iter([0.0, 4.0, 5.0])
    chunks = within_cpu_budget([b"a", b"b"], "f", cpu_seconds=lambda: next(clock), seconds_max=5)
    assert list(chunks) == [b"a", b"b"]


def test_after_the_last_second_nothing_more_is_unpacked() -> None:
    unpacked: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in count():
            unpacked.append(number)
            yield b"x"

    clock = count()
    with pytest.raises(BadPackage, match=r"f\.conda: .* after 5 s of CPU") as refused:
        list(within_cpu_budget(chunks(), "f.conda", cpu_seconds=lambda: next(clock), seconds_max=5))
    assert refused.value.code == "unpacking-too-slow"
    assert len(unpacked) == 6


@pytest.mark.parametrize(
    ("unpack", "nothing"),
    [
        (unpack_tar_bz2, bz2.compress(b"")),
        (lambda packed, file: _decompress_zstd(b"".join(packed), file), zst(b"")),
    ],
    ids=["bz2", "zstd"],
)
def test_what_unpacks_to_nothing_takes_time_as_well(
    unpack: Callable[[list[bytes], str], Iterable[bytes]], nothing: bytes
) -> None:
    """The clock is asked between streams or frames that hold nothing."""
    clock = count()
    chunks = unpack([nothing * 1000], "f")
    with pytest.raises(LimitExceeded):
        list(within_cpu_budget(chunks, "f", cpu_seconds=lambda: next(clock), seconds_max=900))


def test_a_package_is_read_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(step=0.5)
    monkeypatch.setattr(
        tar_stream,
        "within_cpu_budget",
        lambda chunks, file, **budget: within_cpu_budget(
            chunks, file, cpu_seconds=lambda: next(clock), **budget
        ),
    )
    index = index_entry()
    assert read_tar_bz2_info([tar_bz2(index)], TAR_BZ2, FULL_READ)
    slow = tar_bz2(Entry("lib/zeros", bytes(40 * 2**20)), index)
    with pytest.raises(BadPackage) as refused:
        read_tar_bz2_info([slow], TAR_BZ2, FULL_READ)
    assert refused.value.code == "unpacking-too-slow"
