"""Packages that other projects publish as test data, read and turned into records.

They lie beside the repository, in ``shared/packages``, where they are at all.
"""

from __future__ import annotations

import json
import tarfile
from hashlib import md5, sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import zstandard

from sluice.conda.digests import Digests
from sluice.conda.record import DROPPED_FIELDS, make_record
from sluice.errors import BadPackage
from sluice.layout import parse_package_key
from sluice.package.read_limits import FIRST_READ
from sluice.package.reader import PackageContents, PackageRead, read_package
from testkit.memory_store import MemoryStore

PACKAGES = Path(__file__).parents[3] / "shared" / "packages"
GOOD = sorted(PACKAGES.glob("*-*/*.*")) + sorted(PACKAGES.glob("noarch/*.*"))

pytestmark = pytest.mark.skipif(
    not PACKAGES.is_dir(), reason="../shared/packages is not on this machine"
)


def read(path: Path, key: str) -> PackageRead:
    store = MemoryStore()
    info = store.upload(key, path.read_bytes())
    package = read_package(store, key, FIRST_READ, size_hint=info.size, trust_uploader_digests=True)
    assert package is not None
    assert package.info == info
    return package


def index_json(path: Path) -> dict[str, Any]:
    """The same, by other means."""
    body = path.read_bytes()
    if path.suffix == ".conda":
        with ZipFile(BytesIO(body)) as archive:
            (name,) = (name for name in archive.namelist() if name.startswith("info-"))
            packed = zstandard.ZstdDecompressor().stream_reader(archive.read(name)).read()
    else:
        packed = body
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        member = archive.extractfile("info/index.json")
        assert member is not None
        index: dict[str, Any] = json.load(member)
        return index


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_every_good_package_makes_a_record(path: Path) -> None:
    key = parse_package_key(f"ch/{path.parent.name}/{path.name}")
    assert key is not None
    body = path.read_bytes()
    digests = Digests(sha256(body).hexdigest(), md5(body).hexdigest(), "read", "read")  # noqa: S324
    index = index_json(path)

    found = read(path, key.key).outcome

    assert isinstance(found, PackageContents)
    assert (found.index, found.digests) == (index, digests)
    stated = {name: value for name, value in index.items() if name not in DROPPED_FIELDS}
    assert make_record(
        found.index, key.filename, key.subdir.name, size=len(body), digests=digests
    ) == {
        "constrains": [],
        "depends": [],
        **stated,
        "md5": digests.md5,
        "sha256": digests.sha256,
        "size": len(body),
        "subdir": path.parent.name,
    }


@pytest.mark.parametrize(
    ("filename", "code"),
    [
        ("a.tar.bz2", "index-json-missing"),
        ("another_bad_package.conda", "empty-file"),
        ("bad_package.tar.bz2", "bz2-invalid"),
        ("subfolder.tar.bz2", "index-json-missing"),
    ],
)
def test_every_corrupt_file_is_rejected(filename: str, code: str) -> None:
    found = read(PACKAGES / "corrupt" / filename, f"ch/noarch/{filename}").outcome
    assert isinstance(found, BadPackage)
    assert found.code == code


def test_what_channeldata_needs_is_taken_from_real_packages() -> None:
    found = read(
        PACKAGES / "noarch" / "link-scripts-0.1.0-h4616a5c_0.conda",
        "noarch/link-scripts-0.1.0-h4616a5c_0.conda",
    ).outcome
    assert isinstance(found, PackageContents)
    assert found.channeldata == {
        "activate.d": False,
        "binary_prefix": False,
        "deactivate.d": False,
        "post_link": True,
        "pre_link": False,
        "pre_unlink": True,
        "text_prefix": False,
    }


def test_run_exports_are_taken_from_real_packages() -> None:
    filename = "run_exports_versions-1.0-he35c369_0.tar.bz2"
    found = read(PACKAGES / "noarch" / filename, f"noarch/{filename}").outcome
    assert isinstance(found, PackageContents)
    assert found.run_exports == {"weak": ["run_exports_version 1.0"]}
