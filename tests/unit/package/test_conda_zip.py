from __future__ import annotations

import struct
import zipfile

import pytest
import zstandard

from sluice.errors import BadPackage
from sluice.limits import CONDA_TAIL_BYTES, INFO_PACKED_BYTES_MAX, MIB, ZIP_MEMBERS_MAX
from sluice.package import conda_zip as conda_format
from sluice.package.conda_zip import read_conda_info
from sluice.package.read_limits import FULL_READ
from sluice.package.tar_stream import InfoFiles
from tests.support.package_archives import (
    CONDA,
    FLAGS,
    HEADER_OFFSET,
    METHOD,
    SIZE,
    STEM,
    Entry,
    conda,
    index_entry,
    members,
    tar,
    with_directory_field,
    zipped,
    zipped_as_stream,
    zipped_as_zip64,
    zst,
)

INDEX = index_entry()
FOUND = {"info/index.json": INDEX.data}
INFO = zst(tar([INDEX]))
GOOD = conda(INDEX)
INFO_MEMBER = f"info-{STEM}.tar.zst"
PKG_MEMBER = f"pkg-{STEM}.tar.zst"


def read(body: bytes) -> InfoFiles:
    return read_conda_info(
        lambda start, length: body[start : start + length], len(body), CONDA, FULL_READ
    )


def refusal(body: bytes) -> BadPackage:
    with pytest.raises(BadPackage) as refused:
        read(body)
    return refused.value


def fetches(body: bytes) -> list[tuple[int, int]]:
    made = []

    def fetch(start: int, length: int) -> bytes:
        made.append((start, length))
        return body[start : start + length]

    assert read_conda_info(fetch, len(body), CONDA, FULL_READ) == FOUND
    return made


def test_a_package_smaller_than_the_tail_is_one_fetch() -> None:
    assert fetches(GOOD) == [(0, len(GOOD))]


def test_an_info_member_in_the_tail_needs_no_second_fetch() -> None:
    body = conda(INDEX, payload=bytes(MIB))
    assert fetches(body) == [(len(body) - CONDA_TAIL_BYTES, CONDA_TAIL_BYTES)]


def test_an_info_member_in_front_of_the_tail_is_fetched_alone() -> None:
    files = members(INFO, payload=bytes(MIB))
    body = zipped([files[2], files[0], files[1]])
    (_, tail), (start, length) = fetches(body)
    assert (tail, start) == (CONDA_TAIL_BYTES, 0)
    assert len(INFO) < length < len(INFO) + 200_000


def test_an_info_member_across_the_start_of_the_tail_is_read_whole() -> None:
    files = members(INFO, payload=b"")
    behind = CONDA_TAIL_BYTES - len(INFO) // 2 - 300
    body = zipped([("a", bytes(MIB)), *files, ("b", bytes(behind))])
    assert len(fetches(body)) == 2


@pytest.mark.parametrize(
    "body",
    [
        zipped_as_stream(members(INFO)),
        zipped_as_zip64(members(INFO)),
        zipped(members(INFO), comment=b"c" * 65_535),
        b"prepended" + GOOD,
        zipped(members(INFO)[1:]),
        zipped(members(INFO[:20] and zst(tar([INDEX])[:512]) + zst(tar([INDEX])[512:]))),
    ],
    ids=["data descriptors", "zip64", "comment", "prepended", "no metadata.json", "two frames"],
)
def test_unusual_zips_that_clients_read_are_read(body: bytes) -> None:
    assert read(body) == FOUND


def test_an_info_archive_of_level_22_is_read() -> None:
    compressor = zstandard.ZstdCompressor(level=22).compressobj()  # declares a window of 128 MiB
    info = compressor.compress(tar([INDEX])) + compressor.flush()
    assert zstandard.get_frame_parameters(info).window_size == 128 * MIB
    assert read(zipped(members(info))) == FOUND


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "zip-invalid"),
        (b"PK", "zip-invalid"),
        (b"<html>" * 1000, "zip-invalid"),
        (GOOD[:-1], "zip-invalid"),
        (GOOD[: len(GOOD) // 2], "zip-invalid"),
        (GOOD[:-22], "zip-invalid"),
        (zipped([]), "conda-member-missing"),
        (zipped(members(INFO)[:2]), "conda-member-missing"),
        (zipped([members(INFO)[2]]), "conda-member-missing"),
        (zipped(members(INFO, stem="demo-1.1-h1_0")), "conda-member-misnamed"),
        (zipped([("info-a.tar.zst", INFO), *members(INFO)]), "conda-member-misnamed"),
        (zipped([("info/index.json", INDEX.data)]), "conda-member-missing"),
        (zipped(members(INFO), compression=zipfile.ZIP_DEFLATED), "zip-member-compressed"),
        (with_directory_field(GOOD, INFO_MEMBER, FLAGS, "<H", 1), "zip-member-encrypted"),
        (with_directory_field(GOOD, INFO_MEMBER, METHOD, "<H", 99), "zip-member-compressed"),
        (with_directory_field(GOOD, INFO_MEMBER, SIZE, "<L", 2**31), "zip-member-compressed"),
        (with_directory_field(GOOD, PKG_MEMBER, HEADER_OFFSET, "<L", 2**31), "zip-members-overlap"),
        (with_directory_field(GOOD, INFO_MEMBER, HEADER_OFFSET, "<L", 1), "zip-members-overlap"),
        (
            zipped([*members(INFO), *((f"{n}", b"") for n in range(ZIP_MEMBERS_MAX))]),
            "zip-too-many-members",
        ),
        (zipped(members(bytes(INFO_PACKED_BYTES_MAX + 1))), "info-too-large"),
        (zipped(members(b"not zstd")), "zstd-invalid"),
        (zipped(members(INFO[:10] + b"\xff" * 20 + INFO[30:])), "zstd-invalid"),
        (zipped(members(zst(tar([Entry("a", b"x" * 600), INDEX])[:1000]))), "truncated"),
        (zipped(members(zst(b""))), "index-json-missing"),
    ],
)
def test_what_clients_cannot_read_is_refused(body: bytes, code: str) -> None:
    assert refusal(body).code == code


def test_two_members_of_one_name_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        body = zipped([members(INFO)[2], *members(INFO)])
    assert refusal(body).code == "zip-member-duplicate"


def test_members_that_share_their_bytes_are_refused() -> None:
    shared = with_directory_field(GOOD, PKG_MEMBER, HEADER_OFFSET, "<L", GOOD.index(b"info-") - 30)
    assert refusal(shared).code == "zip-members-overlap"


def test_a_local_header_that_contradicts_the_directory_is_refused() -> None:
    renamed = GOOD.replace(INFO_MEMBER.encode(), b"x" * len(INFO_MEMBER), 1)
    assert refusal(renamed).code == "zip-invalid"


def test_a_damaged_info_member_is_refused_by_its_checksum() -> None:
    at = GOOD.index(INFO) + len(INFO) - 1
    damaged = GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :]
    assert refusal(damaged).code == "zip-invalid"


def test_a_directory_in_front_of_the_tail_is_refused() -> None:
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 2**20, 0, 0)
    assert refusal(bytes(2**20) + end).code == "zip-invalid"


def test_a_truncated_zstd_frame_is_refused() -> None:
    info = zst(tar([Entry("info/licenses/a", bytes(range(256)) * 1000), INDEX]))
    assert refusal(zipped(members(info[: len(info) // 2]))).code == "truncated"


def test_a_zip_bomb_is_refused_without_being_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conda_format, "INFO_UNPACKED_BYTES_MAX", MIB)
    bomb = zst(
        bytes(tar([Entry("info/a", b"")])[:512]) + bytes(0) + tar([Entry("a", bytes(4 * MIB))])
    )
    assert len(bomb) < 10_000
    assert refusal(zipped(members(bomb))).code == "info-too-large"


def test_a_frame_that_asks_for_gibibytes_is_refused() -> None:
    header = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\xa8"  # windowLog 31
    assert refusal(zipped(members(header + bytes(100)))).code == "zstd-invalid"


def test_a_hundred_megabytes_of_index_json_are_refused_by_their_header() -> None:
    info = zst(tar([Entry("info/index.json", b" " * (100 * MIB))]))
    assert refusal(zipped(members(info))).code == "index-json-too-large"


def test_the_sentence_names_the_file_and_what_to_do() -> None:
    body = zipped(members(INFO, stem="demo-1.1-h1_0"))
    assert refusal(body).sentence == (
        "demo-1.0-h1_0.conda contains 'info-demo-1.1-h1_0.tar.zst' instead of "
        "info-demo-1.0-h1_0.tar.zst: a package cannot be renamed after the build."
    )
