"""A tar header in the usual form is read as ``tarfile`` reads it, or left to it."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterator, Sequence
from typing import Literal

import pytest

from sluice.errors import BadPackage
from sluice.package import tar_stream

Form = Literal[0, 1, 2]
FORMATS: Sequence[Form] = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
KINDS = (
    *(tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE),
    *(tarfile.FIFOTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE),
)
NAMES = ("info/index.json", "info/", "info//", "ä", "a" * 100, "d" * 90 + "/" + "n" * 90)


def by_tarfile(block: bytes) -> object:
    """What ``tarfile`` reads, or that it cannot."""
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return None if header.size < 0 else (header.type, header.name, header.size)


def by_us(block: bytes) -> object:
    """What is read here, or that it cannot be."""
    try:
        return tuple(tar_stream._header(block, "file"))
    except BadPackage:
        return None


def headers(form: Form) -> Iterator[bytes]:
    """The last block of the header of members of all kinds."""
    for name in NAMES:
        for kind in KINDS:
            for size in (0, 1, 8**11 - 1):
                member = tarfile.TarInfo(name)
                member.type, member.size, member.uid = kind, size, 1000
                yield member.tobuf(form)[-tarfile.BLOCKSIZE :]


def with_checksum(block: bytearray) -> bytes:
    """The block with the checksum that fits to it."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("form", FORMATS)
def test_a_header_is_read_as_tarfile_reads_it(form: Form) -> None:
    for block in headers(form):
        assert by_us(block) == by_tarfile(block)


def test_a_file_of_any_builder_is_in_the_usual_form() -> None:
    for form in FORMATS:
        member = tarfile.TarInfo("info/index.json")
        assert tar_stream._usual_header(member.tobuf(form)[-tarfile.BLOCKSIZE :])


@pytest.mark.parametrize("fits", [False, True])
def test_damage_is_judged_as_tarfile_judges_it(*, fits: bool) -> None:
    draw = random.Random(0)  # noqa: S311 - made-up data, not a secret
    blocks = [block for form in FORMATS for block in headers(form)]
    for block in draw.choices(blocks, k=10_000):
        damaged = bytearray(block)
        for _ in range(draw.randint(1, 4)):
            at = draw.choice((draw.randrange(100, 156), draw.randrange(329, 345), 156, 345, 0, 99))
            damaged[at] = draw.choice((0, 32, 45, 48, 55, 56, 47, 128, 255, draw.randrange(256)))
        changed = with_checksum(damaged) if fits else bytes(damaged)
        assert by_us(changed) == by_tarfile(changed)
