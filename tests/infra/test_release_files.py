"""The files of a release: archives by content alone, keys that no other release has, checksums."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from local.release.archives import files_below, write_zip
from local.release.distribution import source_date_epoch
from local.release.functions import release_digest
from local.release.release import CHECKSUMS, checksums, make_release

TEXTS = {"b.py": "b", "a/z.py": "z", "a/b.txt": "t"}


def folder_of(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_zip_has_the_same_bytes_whatever_the_times_rights_and_order(tmp_path: Path) -> None:
    first = folder_of(tmp_path / "first", TEXTS)
    second = folder_of(tmp_path / "second", dict(reversed(TEXTS.items())))
    for path in files_below(second).values():
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    for name, folder in (("1.zip", first), ("2.zip", second)):
        write_zip(tmp_path / name, files_below(folder))
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.namelist() == sorted(TEXTS)
        assert {one.external_attr >> 16 for one in archive.infolist()} == {0o100644}
        assert archive.read("a/z.py") == b"z"


@pytest.mark.parametrize(
    "other",
    [
        {"a.zip": "1", "b.zip": "3"},  # another content
        {"a.zip": "1", "c.zip": "2"},  # another name
        {"a.zip": "1"},
        {"a.zip": "2", "b.zip": "1"},
    ],
)
def test_the_folder_of_the_code_is_another_one_for_other_code(
    tmp_path: Path, other: dict[str, str]
) -> None:
    ours = folder_of(tmp_path / "ours", {"a.zip": "1", "b.zip": "2", "template.json": "x"})
    same = folder_of(tmp_path / "same", {"b.zip": "2", "a.zip": "1"})
    assert release_digest(ours) == release_digest(same)
    assert release_digest(ours) != release_digest(folder_of(tmp_path / "other", other))


def test_checksums_name_every_file_but_themselves_by_its_path(tmp_path: Path) -> None:
    folder_of(tmp_path, {"b": "b", "a/c": "c", CHECKSUMS: "old"})
    lines = checksums(tmp_path).splitlines()
    assert [line.partition("  ")[2] for line in lines] == ["a/c", "b"]
    assert lines[1].startswith(
        "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b"
    )


def test_a_folder_with_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    folder_of(tmp_path / "dist", {"of-mine": "x"})
    with pytest.raises(FileExistsError, match="not a release"):
        make_release(tmp_path / "dist", [])
    assert sorted(files_below(tmp_path)) == ["dist/of-mine"]


def test_times_in_the_package_are_given_or_those_of_the_commit() -> None:
    assert source_date_epoch({"SOURCE_DATE_EPOCH": "1700000000"}) == "1700000000"
    assert source_date_epoch({}).isdigit()
