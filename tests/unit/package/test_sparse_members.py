"""Archives of every form that tar programs write are read as Python's ``tarfile`` reads them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import BadPackage
from sluice.limits import ABOUT_JSON_BYTES_MAX, MIB
from sluice.package.read_limits import FULL_READ
from sluice.package.reader import PackageContents, read_package
from sluice.package.tar_stream import InfoFiles, read_info_files
from testkit.memory_store import MemoryStore
from tests.support.package_archives import CONDA, INDEX, TAR_BZ2, members, zipped, zst
from tests.support.sparse_archives import (
    SPARSE_STYLES,
    SparseFile,
    end_of_archive,
    gnu_member,
    pax_member,
    sparse_member,
)

WANTED = ["info/index.json", "info/about.json", "info/paths.json", "info/run_exports.json"]
INDEX_JSON = json.dumps(INDEX).encode()


def read(archive: bytes) -> InfoFiles:
    return read_info_files(
        [archive], "f", FULL_READ, unpacked_bytes_max=64 * MIB, until_payload=False
    )


def read_by_tarfile(archive: bytes) -> dict[str, bytes]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for member in opened:
            if member.name in WANTED and (content := opened.extractfile(member)):
                files[member.name] = content.read()
    return files


@st.composite
def sparse_files(draw: st.DrawFn, names: st.SearchStrategy[str]) -> SparseFile:
    at, parts = draw(st.sampled_from([0, 512, 700])), []
    # Around the edges: four parts fit into the header, 21 into each block behind it.
    for _ in range(draw(st.integers(0, 6) | st.sampled_from([24, 25, 26, 46, 47]))):
        data = draw(st.sampled_from([b"a", b"{}", b"x" * 512, b"y" * 1500]))
        parts.append((at, data))
        at += len(data) + draw(st.sampled_from([1, 512, 4096]))
    end = parts[-1][0] + len(parts[-1][1]) if parts else 0
    return SparseFile(draw(names), parts, end + draw(st.sampled_from([0, 1, 9000])))


def is_read_by_tarfile(file: SparseFile) -> bool:
    return bool(file.parts)  # it forgets the size of a file that is nothing but a hole


OTHER_NAMES = st.sampled_from(
    ["lib/a", "info/test/b", "lib/" + "n" * 150, "d" * 80 + "/" + "e" * 60]
)
OTHERS = (
    st.builds(gnu_member, OTHER_NAMES, st.binary(max_size=600), base_256=st.booleans())
    | st.builds(pax_member, OTHER_NAMES, st.binary(max_size=600))
    | st.builds(
        gnu_member,
        OTHER_NAMES,
        kind=st.sampled_from([tarfile.LNKTYPE, tarfile.SYMTYPE]),
        target=st.sampled_from(["lib/x", "lib/" + "t" * 150]),
    )
    | st.builds(sparse_member, sparse_files(OTHER_NAMES), st.sampled_from(SPARSE_STYLES))
)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    wanted = [gnu_member(WANTED[0], INDEX_JSON, base_256=draw(st.booleans()))]
    for name in draw(st.sets(st.sampled_from(WANTED[1:]))):
        file = draw(sparse_files(st.just(name)).filter(is_read_by_tarfile))
        wanted.append(sparse_member(file, draw(st.sampled_from(SPARSE_STYLES))))
    blocks = [*wanted, *draw(st.lists(OTHERS, max_size=6))]
    return b"".join(draw(st.permutations(blocks))) + end_of_archive()


@given(archives())
def test_every_kind_of_member_is_read_as_tarfile_reads_it(archive: bytes) -> None:
    assert read(archive) == read_by_tarfile(archive)


@given(sparse_files(st.just(WANTED[0])), st.sampled_from(SPARSE_STYLES))
def test_a_sparse_file_is_read_with_its_holes(file: SparseFile, style: str) -> None:
    assert read(sparse_member(file, style) + end_of_archive()) == {WANTED[0]: file.content}


@pytest.mark.parametrize("style", SPARSE_STYLES)
def test_an_optional_file_that_unpacks_to_more_than_its_limit_is_left_out(style: str) -> None:
    bomb = SparseFile("info/about.json", [(0, b"{}")], ABOUT_JSON_BYTES_MAX + 1)
    archive = sparse_member(bomb, style) + gnu_member(WANTED[0], b"{}") + end_of_archive()
    assert read(archive) == {WANTED[0]: b"{}"}


@pytest.mark.parametrize(
    "records",
    [
        [("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,2,1,2")],  # parts that overlap
        [("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,2,8,2")],  # beyond the end
        [("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,2")],  # more data than parts
        [("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,2,4")],  # half a pair
        [("GNU.sparse.size", "-9"), ("GNU.sparse.map", "0,4")],
        [("GNU.sparse.size", "9" * 21), ("GNU.sparse.map", "0,4")],
        [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9")],
    ],
    ids=str,
)
def test_a_sparse_map_that_contradicts_itself_is_refused(records: list[tuple[str, str]]) -> None:
    with pytest.raises(BadPackage) as refused:
        read(pax_member(WANTED[0], b"1234", records) + end_of_archive())
    assert refused.value.code == "tar-invalid"


GNU_TAR = shutil.which("tar")


def is_gnu_tar() -> bool:
    if GNU_TAR is None:
        return False
    said = subprocess.run([GNU_TAR, "--version"], capture_output=True, check=False).stdout
    return b"GNU tar" in said


@pytest.mark.skipif(not is_gnu_tar(), reason="there is no GNU tar")
@pytest.mark.parametrize("order", [("share", "info"), ("info", "share")], ids="-".join)
@pytest.mark.parametrize("style", SPARSE_STYLES)
@pytest.mark.parametrize("extents", [3, 4, 5, 24, 25, 26, 60])
def test_packages_that_gnu_tar_made_of_sparse_files_are_read(
    tmp_path: Path, extents: int, style: str, order: tuple[str, str]
) -> None:
    (tmp_path / "info").mkdir()
    (tmp_path / "share").mkdir()
    (tmp_path / "info/index.json").write_bytes(INDEX_JSON)
    for name in ("info/a-test.bin", "info/z-test.bin", "share/big.bin"):
        with (tmp_path / name).open("wb") as file:
            for extent in range(extents):
                file.seek(extent * 65536)
                file.write(b"x" * 4096)
            file.truncate((extents + 2) * 65536)
    flags = ["--format=gnu"] if style == "old" else ["--format=posix", f"--sparse-version={style}"]

    def packed(*flags_and_folders: str) -> bytes:
        command = [str(GNU_TAR), "-C", str(tmp_path), "-S", "--sort=name", *flags]
        made = subprocess.run(
            [*command, "-cf", "-", *flags_and_folders], capture_output=True, check=True
        )
        return made.stdout

    store = MemoryStore()
    store.upload(f"noarch/{TAR_BZ2}", packed("-j", *order))
    store.upload(f"noarch/{CONDA}", zipped(members(zst(packed("info")))))
    for filename in (TAR_BZ2, CONDA):
        found = read_package(
            store, f"noarch/{filename}", FULL_READ, size_hint=None, trust_uploader_digests=False
        )
        assert found is not None
        assert isinstance(found.outcome, PackageContents), found.outcome
        assert found.outcome.index == INDEX
