"""The configurations and patches that operators write, and what a full index makes of them.

What is said here knows nothing of sluice's code but the names of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice.conda.names import NOARCH
from sluice.layout import (
    CURRENT_REPODATA,
    CURRENT_REPODATA_ZST,
    FROM_PACKAGES,
    FROM_PACKAGES_ZST,
    PATCH_INSTRUCTIONS,
    REPODATA_BZ2,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
    Subdir,
    config_key,
)
from testkit.channel import PATCHES, patch_package
from tests.simulation.system import packages
from tests.simulation.system.bucket import Bucket

INVALID = b'[sluice]\npatches = ["all"]\n'
_FROM_PACKAGES = (PATCH_INSTRUCTIONS, FROM_PACKAGES, FROM_PACKAGES_ZST)
CURRENT = (CURRENT_REPODATA, CURRENT_REPODATA_ZST)
OPTIONAL = (*_FROM_PACKAGES, *CURRENT, RUN_EXPORTS, RUN_EXPORTS_ZST, REPODATA_BZ2)
"""Index files that are there only where the configuration asks for them."""
_SUBDIRS = ("linux-64", "osx-arm64", "noarch")
_PATCHED = {"alpha-1.0-0.conda", "alpha-2.0-0.tar.bz2", "alpha-2.0-0.conda"}
"""What every patch is about; what it says of a ``.tar.bz2`` holds for the ``.conda`` beside it."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a ``sluice.toml`` asks for."""

    run_exports: bool = False
    bz2: bool = False
    current: bool = False
    patches: bool = False

    @property
    def body(self) -> bytes:
        """The file."""
        settings = [
            "[sluice]",
            f"run-exports = {str(self.run_exports).lower()}",
            f"repodata-bz2 = {str(self.bz2).lower()}",
            f"current-repodata = {str(self.current).lower()}",
        ]
        patches = [f'patches = "{PATCHES}"'] if self.patches else []
        return "\n".join([*settings, *patches, ""]).encode()


GOOD = {
    one.body: one
    for one in (
        Configuration(patches=True),
        Configuration(patches=True, run_exports=True, current=True),
        Configuration(run_exports=True, bz2=True),
        Configuration(),
    )
}
"""By what is in the file."""


@dataclass(frozen=True, slots=True)
class Patch:
    """What a patch package says."""

    license: str
    subdirs: tuple[str, ...]

    def applied(self, subdir: str, filename: str, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record of a package as clients are to see it."""
        if subdir not in self.subdirs or filename not in _PATCHED:
            return record
        return {**record, "license": self.license}


def _make(version: str, patch: Patch | None) -> tuple[str, bytes]:
    """A patch package, or for ``None`` one that cannot be used: filename and bytes."""
    told = {"license": patch.license if patch else ""}
    conda = {name: told for name in _PATCHED if name == "alpha-1.0-0.conda"}
    instructions = {
        subdir: {
            "patch_instructions_version": 1,
            "packages": {"alpha-2.0-0.tar.bz2": told},
            "packages.conda": conda,
        }
        for subdir in (patch.subdirs if patch else _SUBDIRS)
    }
    made = patch_package(version, instructions, body=None if patch else b"{")
    index = {
        "name": PATCHES,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": [],
        "noarch": "generic",
        "subdir": NOARCH,
    }
    packages.register(NOARCH, made.filename, made.body, index)
    return made.filename, made.body


_VERSIONS = ("1.9", "1.10")
"""The older first."""
_SAID = (
    Patch("MIT", _SUBDIRS),
    Patch("BSD", _SUBDIRS),
    Patch("GPL", ("noarch",)),
    None,
)
PATCH_PACKAGES: Mapping[str, Mapping[bytes, Patch | None]] = {
    _make(version, None)[0]: {_make(version, said)[1]: said for said in _SAID}
    for version in _VERSIONS
}
"""By filename and bytes, the older version first; ``None``: it cannot be used."""


def configuration(channel: Bucket, of: str) -> Configuration:
    """What a channel's file asks for, which must be one that can be used."""
    stored = channel.objects.get(config_key(of))
    return GOOD[stored.body] if stored else Configuration()


def patch_in_force(channel: Bucket, of: str) -> Patch | None:
    """The newest patch that can be used, where the configuration asks for patches."""
    if not configuration(channel, of).patches:
        return None
    newest: Patch | None = None
    for filename, said in PATCH_PACKAGES.items():
        stored = channel.objects.get(Subdir(of, NOARCH).file_key(filename))
        newest = (said.get(stored.body) if stored else None) or newest
    return newest


def optional_files(channel: Bucket, of: str) -> set[str]:
    """The index files that there must be beside those that there always are."""
    asked = configuration(channel, of)
    files: set[str] = set()
    if asked.run_exports:
        files |= {RUN_EXPORTS, RUN_EXPORTS_ZST}
    if asked.bz2:
        files.add(REPODATA_BZ2)
    if asked.current:
        files |= {*CURRENT}
    if patch_in_force(channel, of):
        files |= {*_FROM_PACKAGES}
    return files


def newest(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """What there is of each name's newest version, once where it is there in both archives."""
    versions: dict[str, list[tuple[int, ...]]] = {}
    for record in records.values():
        versions.setdefault(record["name"], []).append(_parts(record["version"]))
    chosen = {}
    for filename, record in records.items():
        stem = filename.removesuffix(".conda").removesuffix(".tar.bz2")
        old, new = f"{stem}.tar.bz2", f"{stem}.conda"
        if (filename == old and new in records) or (
            _parts(record["version"]) != max(versions[record["name"]])
        ):
            continue
        counterpart = {"legacy_bz2_md5": records[old]["md5"]} if old in records else {}
        chosen[filename] = {**record, **counterpart} if filename == new else record
    return chosen


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
