"""The made-up channel: real packages, the same each time."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from typing import Any

import zstandard

from testkit import made_up
from testkit.channel import Package, conda
from testkit.made_up import indexes, packages, stored_zip

SIZE = 200


def members(package: Package) -> dict[str, dict[str, Any]]:
    """What every file in every part of a ``.conda`` says, JSON decoded."""
    archive = zipfile.ZipFile(io.BytesIO(package.body))
    assert archive.testzip() is None
    found = {}
    for name in archive.namelist():
        if not name.endswith(".tar.zst"):
            found[name] = json.loads(archive.read(name))
            continue
        body = zstandard.ZstdDecompressor().decompressobj().decompress(archive.read(name))
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file
                content = file.read()
                is_json = member.name.endswith(".json")
                found[f"{name}/{member.name}"] = json.loads(content) if is_json else content
    return found


def test_packages_made_in_bulk_say_what_those_made_one_by_one_do() -> None:
    for index in indexes(SIZE):
        ours, theirs = made_up.conda(index), conda(index)
        assert ours.path == theirs.path
        assert members(ours) == members(theirs)


def test_a_stored_zip_holds_its_members() -> None:
    archive = zipfile.ZipFile(io.BytesIO(stored_zip([("a", b"x"), ("b/c", b"")])))
    assert {name: archive.read(name) for name in archive.namelist()} == {"a": b"x", "b/c": b""}


def test_the_same_size_is_the_same_channel() -> None:
    assert list(packages(SIZE)) == list(packages(SIZE))
