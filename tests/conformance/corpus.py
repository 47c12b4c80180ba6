"""The packages that sluice and rattler-index are compared on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testkit.channel import Package, conda, tar_bz2

SHARED = Path(__file__).parents[3] / "shared" / "packages"
"""Packages that other projects publish as test data; not on every machine."""
_GOOD_SUBDIRS = ("noarch", "osx-64")


def real() -> list[Package]:
    """The good packages of the shared folder."""
    return [
        Package(subdir, path.name, path.read_bytes())
        for subdir in _GOOD_SUBDIRS
        for path in sorted((SHARED / subdir).iterdir())
    ]


def generated() -> list[Package]:
    """A channel with one package for everything that an ``index.json`` may say."""
    built = [conda(index) for index in _INDEXES]
    # The same in the old format, and beside a .conda of the same name.
    built += [tar_bz2({**index, "build_number": 7}) for index in _INDEXES[:6]]
    return [*built, conda({**_base("no-subdir"), "timestamp": 1}, subdir="linux-64")]


def _base(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "build": "h0_0", "build_number": 0, **more}


def _linux(name: str, **more: Any) -> dict[str, Any]:
    return _base(name, subdir="linux-64", arch="x86_64", platform="linux", **more)


def _noarch(name: str, kind: object = "generic", **more: Any) -> dict[str, Any]:
    return _base(name, subdir="noarch", noarch=kind, **more)


_INDEXES: tuple[Mapping[str, Any], ...] = (
    # what a solve walks through: app -> lib (two versions, one excluded) and a noarch helper
    _linux("app", depends=["lib >=1.0,<3", "helper"], timestamp=1_700_000_000_000),
    {**_linux("lib", depends=["python >=3.11", "python_abi 3.12.* *_cp312"]), "version": "2.0"},
    {**_linux("lib", depends=["python"]), "version": "3.0", "build": "h1_1", "build_number": 1},
    {
        **_linux("python", python_site_packages_path="lib/python3.12/site-packages"),
        "version": "3.12.1",
        "build": "h0_0_cpython",
    },
    {**_linux("python_abi", constrains=["python 3.12.*"]), "version": "3.12", "build": "5_cp312"},
    _noarch("helper", "python", depends=["python", "lib !=2.5"], license="MIT"),
    # every known key once
    _linux(
        "every-key",
        constrains=["other >=2", "third <4"],
        depends=["lib >=1.0", "python"],
        features="mkl",
        license="Apache-2.0 WITH LLVM-exception",
        license_family="Apache",
        purls=["pkg:pypi/every-key@1.0"],
        timestamp=1_700_000_000_123,
        track_features="mkl nomkl",
    ),
    _linux("track-features-list", track_features=["debug"]),
    _linux("track-features-empty", track_features=""),
    _noarch("unicode", license="Licence générale 公共", summary="naïve ☃ \U0001f40d"),
    {**_linux("plus"), "version": "2.1+cpu", "build": "py312_cu12.4+gpu_0"},
    {**_linux("epoch"), "version": "1!2.0.post1+local.3"},
    {**_linux("underscore"), "version": "1.0_alpha"},
    _linux("lower_case.name-with-all"),
    _linux("_underscored"),
    _noarch("old-noarch", kind=True),
    _noarch("generic-noarch"),
    _linux("timestamp-in-seconds", timestamp=1_500_000_000),
    _linux("timestamp-zero", timestamp=0),
    _linux("unknown-keys", requires=["x 1.0"], zzz={"nested": [1, 2.5, None, True]}),
    _linux("null-license", license=None, license_family=None),
    _linux("empty-license", license=""),
    _linux("loose-specs", depends=["ncurses 5.9", "zlib 1.2*", "x  >=1 , <2", "y=1.0=*_cp312"]),
    _linux("old-keys", preferred_env="_old_", date="2015-01-01"),
    _linux("run-exports-inside", run_exports={"weak": ["lib >=2"]}),
)
