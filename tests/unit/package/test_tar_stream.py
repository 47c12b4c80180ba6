from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator

import pytest

from sluice.errors import BadPackage
from sluice.limits import (
    ABOUT_JSON_BYTES_MAX,
    INDEX_JSON_BYTES_MAX,
    MIB,
    RUN_EXPORTS_JSON_BYTES_MAX,
    TAR_EXTENDED_HEADERS_BYTES_MAX,
)
from sluice.package import tar_stream
from sluice.package.read_limits import FULL_READ
from sluice.package.tar_stream import InfoFiles, read_info_files
from tests.support.package_archives import Entry, index_entry, tar

INDEX = index_entry()
ABOUT = Entry("info/about.json", b"{}")
PAYLOAD = Entry("lib/a", b"x" * 5000)
FOUND = {"info/index.json": INDEX.data}


def read(
    body: bytes | Iterable[bytes], *, until_payload: bool = False, most: int = MIB
) -> InfoFiles:
    chunks = [body] if isinstance(body, bytes) else body
    return read_info_files(
        chunks, "f", FULL_READ, unpacked_bytes_max=most, until_payload=until_payload
    )


def code(body: bytes | Iterable[bytes], *, most: int = MIB) -> str:
    with pytest.raises(BadPackage) as refused:
        read(body, most=most)
    return refused.value.code


@pytest.mark.parametrize("style", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("chunk", [1, 511, 513, 100_000])
def test_the_wanted_files_are_found_in_every_style_and_chunking(style: int, chunk: int) -> None:
    unwanted = Entry("info/recipe/" + "d" * 90 + "/" + "n" * 90, b"y" * 700)
    body = tar([PAYLOAD, unwanted, INDEX, ABOUT], style=style)
    chunks = (body[at : at + chunk] for at in range(0, len(body), chunk))
    assert read(chunks) == FOUND | {"info/about.json": b"{}"}


@pytest.mark.parametrize("name", ["./info/index.json", "/info/index.json", "info//./index.json"])
def test_names_count_as_what_they_unpack_to(name: str) -> None:
    assert read(tar([Entry(name, INDEX.data)])) == FOUND


@pytest.mark.parametrize(
    "name", ["x/info/index.json", "info/index.json.bak", "x/../info/index.json", "INFO/index.json"]
)
def test_other_names_do_not_count(name: str) -> None:
    assert code(tar([Entry(name, INDEX.data)])) == "index-json-missing"


def test_a_name_from_an_extended_header_counts() -> None:
    hidden = Entry("x", b"{}", pax={"path": "info/index.json"})
    assert read(tar([hidden])) == {"info/index.json": b"{}"}
    assert code(tar([INDEX, hidden])) == "info-member-duplicate"


def test_a_size_from_an_extended_header_counts() -> None:
    records = b"12 size=600\n"
    pax = tarfile.TarInfo("pax")
    pax.type, pax.size = tarfile.XHDTYPE, len(records)
    header = tarfile.TarInfo("a")  # says that it has no data
    body = pax.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0")
    body += header.tobuf(tarfile.USTAR_FORMAT) + b"x" * 600 + bytes(424)
    assert read(body + tar([INDEX])) == FOUND


@pytest.mark.parametrize("first", [INDEX, ABOUT])
def test_a_file_that_comes_twice_is_refused(first: Entry) -> None:
    assert code(tar([first, Entry(first.name, b"{ }"), INDEX])) == "info-member-duplicate"


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"?"],
)
@pytest.mark.parametrize("name", ["info/index.json", "info/paths.json"])
def test_a_wanted_name_on_anything_but_a_file_is_refused(kind: bytes, name: str) -> None:
    body = tar([Entry(name, kind=kind, target="/etc/passwd"), ABOUT])
    assert code(body) == "info-member-not-a-file"


def test_links_elsewhere_are_passed_over() -> None:
    link = Entry("lib/b", kind=tarfile.SYMTYPE, target="/etc/passwd")
    assert read(tar([link, INDEX])) == FOUND


def test_an_index_json_beyond_its_limit_is_refused_without_being_read() -> None:
    body = tar([Entry("info/index.json", b" " * (INDEX_JSON_BYTES_MAX + 1))])
    assert code(body[: 10 * tarfile.BLOCKSIZE]) == "index-json-too-large"


def test_an_optional_file_beyond_its_limit_is_left_out() -> None:
    large = Entry("info/about.json", b" " * (ABOUT_JSON_BYTES_MAX + 1))
    assert read(tar([large, INDEX]), most=4 * MIB) == FOUND


def test_unpacking_stops_at_its_limit() -> None:
    taken = []

    def endless() -> Iterator[bytes]:
        yield tar([Entry("lib/a", b"x" * 20_000)])[:1024]
        while True:
            taken.append(1)
            yield bytes(1024)

    assert code(endless(), most=10 * 1024) == "info-too-large"
    assert len(taken) == 10


def test_a_tar_bomb_of_empty_members_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_stream, "TAR_HEADERS_MAX", 20)
    assert code(tar([Entry(f"a{n}") for n in range(30)])) == "tar-too-many-members"


def test_a_chain_of_extended_headers_ends() -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 512
    block = header.tobuf(tarfile.GNU_FORMAT) + bytes(512)
    assert code((block for _ in range(10**9)), most=MIB) == "info-too-large"


def test_an_extended_header_of_gibibytes_is_refused_without_being_read() -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, TAR_EXTENDED_HEADERS_BYTES_MAX + 1
    assert code(header.tobuf(tarfile.USTAR_FORMAT)) == "tar-invalid"


def test_pax_headers_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_stream, "TAR_EXTENDED_HEADERS_BYTES_MAX", 100)
    assert read(tar([Entry("a", pax={"comment": "x"}), INDEX])) == FOUND
    many = [Entry("a", pax={"comment": "x"}) for _ in range(10)]
    assert code(tar([*many, INDEX])) == "tar-invalid"


@pytest.mark.parametrize(
    "records",
    [
        b"x",
        b"9 path=a",
        b"99 path=a\n",
        b"0 path=a\n",
        b"-9 path=a\n",
        b"9 size=x\n",
        b"10 size=-1\n",
    ],
)
def test_malformed_extended_headers_are_refused(records: bytes) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    body = header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0")
    assert code(body + tar([INDEX])) == "tar-invalid"


def test_a_negative_size_is_refused() -> None:
    block = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 12  # base 256, two's complement: -1
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    assert code(bytes(block)) == "tar-invalid"


@pytest.mark.parametrize("length", [100, 512, 513, 700])
def test_a_truncated_archive_is_refused(length: int) -> None:
    assert code(tar([Entry("a", b"x" * 600), INDEX])[:length]) == "truncated"


def test_missing_zeros_at_the_end_are_forgiven_as_clients_do() -> None:
    assert read(tar([INDEX])[:1024]) == FOUND


def test_garbage_is_refused() -> None:
    assert code(b"garbage" * 100) == "tar-invalid"


def test_nothing_at_all_has_no_index_json() -> None:
    assert code(b"") == "index-json-missing"


def test_reading_ends_with_the_run_of_info_once_index_json_is_known() -> None:
    late = Entry("info/run_exports.json", b"{}")
    entries = [Entry("./", kind=tarfile.DIRTYPE), INDEX, Entry("info/git"), ABOUT, PAYLOAD, late]
    neighbours = FOUND | {"info/about.json": b"{}"}
    assert read(tar(entries), until_payload=True) == neighbours
    assert read(tar(entries)) == neighbours | {"info/run_exports.json": b"{}"}


def test_payload_in_front_of_index_json_does_not_end_the_reading() -> None:
    assert read(tar([PAYLOAD, ABOUT, PAYLOAD, INDEX]), until_payload=True) == FOUND | {
        "info/about.json": b"{}"
    }


@pytest.mark.parametrize("name", ["info/run_exports.yaml", "info/run_exports"])
def test_run_exports_of_old_builders_are_seen_and_not_read(name: str) -> None:
    body = tar([Entry(name, b"x" * 100), INDEX, Entry(name, b"y")])
    assert read(body) == {**FOUND, name: None}


def test_run_exports_beyond_their_limit_are_seen_and_not_read() -> None:
    large = Entry("info/run_exports.json", b" " * (RUN_EXPORTS_JSON_BYTES_MAX + 1))
    assert read(tar([large, INDEX])) == {**FOUND, large.name: None}
