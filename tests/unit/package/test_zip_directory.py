"""The plain form of a zip is read as ``zipfile`` reads it, or left to it."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from sluice.errors import BadPackage
from sluice.package import conda_zip
from sluice.package.read_limits import FULL_READ
from sluice.package.zip_directory import read_plain_directory, read_plain_member
from testkit.channel import Package, conda, index_of
from testkit.made_up import conda as made_up
from testkit.made_up import indexes

PACKAGE = conda(index_of("demo"))
MADE_UP = made_up(next(indexes(1)))


def outcome(body: bytes, filename: str) -> object:
    """What a package in memory holds, or why it is refused."""

    def fetch(start: int, length: int) -> bytes:
        return body[start : start + length]

    try:
        return conda_zip.read_conda_info(fetch, len(body), filename, FULL_READ)
    except BadPackage as error:
        return error.code, error.sentence


def outcome_by_zipfile(body: bytes, filename: str) -> object:
    """The same, where nothing is plain."""
    with mock.patch.object(conda_zip, "read_plain_directory", return_value=None):
        return outcome(body, filename)


def mutations(body: bytes, count: int) -> Iterator[bytes]:
    """The body with some bytes changed, inserted or taken away, mostly near its end."""
    draw = random.Random(0)  # noqa: S311 - made-up data, not a secret
    directory = body.rfind(b"PK\5\6") - 300
    for _ in range(count):
        mutated = bytearray(body)
        for _ in range(draw.randint(1, 3)):
            first = draw.choice((0, directory, directory, len(mutated) - 22))
            at = draw.randrange(max(first, 0), len(mutated))
            change = draw.randrange(5)
            if change < 3:
                mutated[at] = draw.choice((0, 1, 8, 20, 45, 255, draw.randrange(256)))
            elif change == 3:
                del mutated[at]
            else:
                mutated.insert(at, draw.randrange(256))
        yield bytes(mutated)


@pytest.mark.parametrize("package", [PACKAGE, MADE_UP], ids=["zipfile", "made-up"])
def test_a_package_is_read_without_zipfile(package: Package) -> None:
    body = package.body
    directory = read_plain_directory(body, len(body))
    assert directory
    theirs = zipfile.ZipFile(io.BytesIO(body))
    assert directory.start_dir == theirs.start_dir
    for ours, info in zip(directory.members, theirs.infolist(), strict=True):
        for field in ours._fields:
            assert getattr(ours, field) == getattr(info, field)
        assert read_plain_member(body[ours.header_offset :], ours) == theirs.read(info)


@pytest.mark.parametrize("package", [PACKAGE, MADE_UP], ids=["zipfile", "made-up"])
def test_damage_is_judged_as_zipfile_judges_it(package: Package) -> None:
    for body in mutations(package.body, 4000):
        assert outcome(body, package.filename) == outcome_by_zipfile(body, package.filename)


def with_extra(body: bytes, extra: bytes) -> bytes:
    """The zip with an extra field behind the name of its last member's entry."""
    end = body.rfind(b"PK\5\6")
    last = body.rfind(b"PK\1\2")
    entry = bytearray(body[last:end])
    struct.pack_into("<H", entry, 30, len(extra))
    changed = bytearray(body[:last] + bytes(entry) + extra + body[end:])
    (length,) = struct.unpack_from("<L", changed, len(changed) - 10)
    struct.pack_into("<L", changed, len(changed) - 10, length + len(extra))
    return bytes(changed)


@pytest.mark.parametrize(
    "extra",
    [
        b"",
        struct.pack("<HHBL4s", 0x7075, 9, 1, 0, b"name"),  # another name in Unicode
        struct.pack("<HHQ", 1, 8, 5),  # zip64
        b"PK\6\7" + bytes(16),  # it looks like the locator of a zip64 directory
        struct.pack("<HH", 9, 16) + b"PK\6\7" + bytes(16),
    ],
)
def test_what_an_entry_has_beyond_the_plain_form_is_left_to_zipfile(extra: bytes) -> None:
    body = with_extra(PACKAGE.body, extra)
    assert (read_plain_directory(body, len(body)) is not None) == (extra == b"")
    assert outcome(body, PACKAGE.filename) == outcome_by_zipfile(body, PACKAGE.filename)


@pytest.mark.parametrize(
    "make",
    [
        lambda body: body + b"behind",
        lambda body: b"before" + body,
        lambda body: body[:-2] + b"\1\0c",  # a comment
        lambda body: body[:-1],
        lambda _body: b"",
    ],
)
def test_what_is_not_plain_is_left_to_zipfile(make: Callable[[bytes], bytes]) -> None:
    body = make(PACKAGE.body)
    assert read_plain_directory(body, len(body)) is None
    assert outcome(body, PACKAGE.filename) == outcome_by_zipfile(body, PACKAGE.filename)
