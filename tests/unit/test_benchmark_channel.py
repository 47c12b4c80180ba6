"""The made-up channel: real packages, and an index as rattler-index would write it."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import zstandard
from rattler.index import index_fs

from benchmarks import initial, making
from benchmarks.channel import SUBDIR, MadeUpChannel
from benchmarks.stored_zip import stored_zip
from testkit.zstd import one_frame
from tests.support.channel import Package, conda

CHANNEL = MadeUpChannel(200)


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
    for index in CHANNEL.indexes():
        ours, theirs = making.conda(index), conda(index)
        assert ours.path == theirs.path
        assert members(ours) == members(theirs)


def test_a_stored_zip_holds_its_members() -> None:
    archive = zipfile.ZipFile(io.BytesIO(stored_zip([("a", b"x"), ("b/c", b"")])))
    assert {name: archive.read(name) for name in archive.namelist()} == {"a": b"x", "b/c": b""}


def test_the_same_size_is_the_same_channel() -> None:
    assert list(CHANNEL.packages()) == list(MadeUpChannel(200).packages())


def test_the_index_that_is_there_at_first_is_what_rattler_index_would_write(
    tmp_path: Path,
) -> None:
    made = dict(initial.objects(CHANNEL))
    for package in CHANNEL.packages():
        package.write_below(tmp_path)
        assert made[package.path] == package.body
    asyncio.run(index_fs(tmp_path))
    ours = json.loads(made[f"{SUBDIR}/repodata.json"])
    theirs = json.loads((tmp_path / SUBDIR / "repodata.json").read_bytes())
    for repodata in (ours, theirs):
        for record in repodata["packages.conda"].values():
            assert record.pop("indexed_timestamp") > record["timestamp"]
    assert ours["packages.conda"] == theirs["packages.conda"]
    assert one_frame(made[f"{SUBDIR}/repodata.json.zst"]) == made[f"{SUBDIR}/repodata.json"]
    assert json.loads(made["noarch/repodata.json"])["packages.conda"] == {}
