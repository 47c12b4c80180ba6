"""rattler-index puts the same packages into revision 3, and refuses the same ones (CEP 48)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import rattler.index

from sluice.conda.digests import Digests
from sluice.conda.record import make_record
from sluice.conda.revision import LEGACY, V3, required_revision
from sluice.errors import BadPackage
from sluice.layout import PackageKey, Subdir
from testkit.channel import Package, conda, tar_bz2
from tests.conformance.indexed_channel import index_with_rattler

DIGESTS = Digests("a" * 64, None, "read", None)

SAID: list[dict[str, Any]] = [
    {},
    {"depends": ["python >=3.8", "zlib 1.2.* h_*", "conda-forge::zlib", "a[version='>=1']"]},
    {"depends": ["demo[extras=[test]]"]},
    {"depends": ["demo[extras=test]"]},
    {"depends": ['demo[version=">=1", flags=[cuda, "blas:*"]]']},
    {"depends": ['demo >=2.0[when="python <3"]']},
    {"depends": ["demo[when='python[version=\">=3\"] and __win']"]},
    {"depends": ["demo[build='^py[0-9]+$', when=\"python\"]"]},
    {"depends": ['demo[build="^when=[0-9]+$"]']},
    {"constrains": ['demo[when="__unix"]']},
    {"constrains": ["demo[flags=cuda]"]},
    {"extra_depends": {}, "flags": []},
    {"extra_depends": {"gpu": ["cuda"]}, "repodata_revision": 3},
    {"repodata_revision": 0},
    {"repodata_revision": 3},
]
NOT_YET: list[dict[str, Any]] = [
    # Of index.json rattler's sources look at these fields; py-rattler 0.28 does not.
    {"extra_depends": {"gpu": ["cuda"]}},
    {"extra_depends": {"gpu": ['cuda[when="__linux"]'], "none": []}},
    {"flags": ["cuda", "blas:mkl"]},
]
REFUSED: list[dict[str, Any]] = [
    {"flags": ["CUDA"]},
    {"flags": ["a:b:c"]},
    {"repodata_revision": 0, "depends": ["demo[extras=[test]]"]},
    {"repodata_revision": 0, "constrains": ['demo[when="python"]']},
    {"repodata_revision": 1},
    {"repodata_revision": 4},
    {"depends": ["demo; if python <3"]},
]


def index_json(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """The index.json of a package that says this."""
    identity = {"name": name, "version": "1.0", "build": "0", "build_number": 0}
    return {**identity, "depends": [], "subdir": "noarch", **said}


def ours(package: Package, said: dict[str, Any]) -> int:
    """The revision that we put it into."""
    name = package.filename.partition("-")[0]
    key = PackageKey(Subdir("", "noarch"), package.filename)
    return required_revision(
        make_record(index_json(name, said), key.filename, key.subdir.name, size=7, digests=DIGESTS)
    )


def theirs(packages: Iterable[Package], folder: Path) -> dict[str, int]:
    """The revision that rattler-index puts each into, by filename."""
    repodata = json.loads(index_with_rattler(packages, folder)["noarch/repodata.json"])
    legacy = [*repodata["packages"], *repodata["packages.conda"]]
    new = [f"{stem}.{bucket}" for bucket, records in repodata["v3"].items() for stem in records]
    return dict.fromkeys(legacy, LEGACY) | dict.fromkeys(new, V3)


def test_the_same_packages_stand_in_revision_3(tmp_path: Path) -> None:
    packages = {}
    for number, said in enumerate(SAID):
        packages[conda(index_json(f"a{number}", said))] = said
        packages[tar_bz2(index_json(f"b{number}", said))] = said
    found = {package.filename: ours(package, said) for package, said in packages.items()}
    assert found == theirs(packages, tmp_path / "channel")
    assert set(found.values()) == {LEGACY, V3}


def test_extras_and_flags_are_kept_from_older_clients_which_rattler_index_does_not_do_yet(
    tmp_path: Path,
) -> None:
    packages = {conda(index_json(f"a{n}", said)): said for n, said in enumerate(NOT_YET)}
    assert {ours(package, said) for package, said in packages.items()} == {V3}
    assert set(theirs(packages, tmp_path / "channel").values()) == {LEGACY}


@pytest.mark.parametrize("said", REFUSED, ids=json.dumps)
def test_what_contradicts_itself_or_asks_for_what_is_not_known_is_refused(
    said: dict[str, Any], tmp_path: Path
) -> None:
    package = conda(index_json("demo", said))
    with pytest.raises(BadPackage):
        ours(package, said)
    package.write_below(tmp_path)
    with pytest.raises(Exception, match=r"(?i)revision|repodata|flag|match ?spec"):
        asyncio.run(rattler.index.index_fs(tmp_path))
