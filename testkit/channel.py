"""Good packages, built in memory: what a channel consists of.

An ``index.json`` goes in, a real archive in either format comes out; the rest of ``info/`` is
the least that builders write.  Bytes depend on nothing but the arguments.
"""

from __future__ import annotations

import bz2
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import zstandard

PATCHES = "team-repodata-patches"
_ZSTD_LEVEL = 3
_ZIP_DATE = (2024, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Package:
    """A package file and the place where it lies."""

    subdir: str
    filename: str
    body: bytes

    @property
    def path(self) -> str:
        """The key within its channel."""
        return f"{self.subdir}/{self.filename}"

    def write_below(self, channel: Path) -> None:
        """Put the file into a channel on disk."""
        path = channel / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.body)


def index_of(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    """An ``index.json`` of a package without dependencies, or with what ``more`` says."""
    return {
        "name": name,
        "version": version,
        "build": "h0_0",
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
        **more,
    }


def conda(
    index: Mapping[str, Any],
    *,
    subdir: str | None = None,
    payload: bytes = b"",
    files: Mapping[str, bytes] | None = None,
    run_exports: Mapping[str, Any] | None = None,
    info: Mapping[str, bytes] | None = None,
) -> Package:
    """A ``.conda``: a zip of stored members, of which two are zstd-compressed tars.

    ``subdir`` says where it lies if ``index`` does not, ``payload`` is the file it installs;
    ``files`` are installed in its place.  ``info`` are more files of ``info/``, as they are.
    """
    stem = _stem(index)
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{stem}.tar.zst", _zstd(_tar(files or _payload(index, payload)))),
            (
                f"info-{stem}.tar.zst",
                _zstd(_tar({**_info(index, payload, run_exports), **(info or {})})),
            ),
        ):
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), data)
    return Package(subdir or index["subdir"], f"{stem}.conda", body.getvalue())


def patch_package(
    version: str,
    instructions: Mapping[str, Any],
    *,
    name: str = PATCHES,
    build_number: int = 0,
    body: bytes | None = None,
) -> Package:
    """A patch package for ``noarch``: instructions by subdir, or ``body`` for each of them."""
    index = {
        "name": name,
        "version": version,
        "build": str(build_number),
        "build_number": build_number,
        "subdir": "noarch",
        "noarch": "generic",
    }
    files = {
        f"{subdir}/patch_instructions.json": json.dumps(told).encode() if body is None else body
        for subdir, told in instructions.items()
    }
    return conda(index, files=files)


def tar_bz2(
    index: Mapping[str, Any],
    *,
    subdir: str | None = None,
    payload: bytes = b"",
    info: Mapping[str, bytes] | None = None,
) -> Package:
    """A ``.tar.bz2``: everything in one tar, ``info/`` first; ``info`` as for ``conda``."""
    files = {**_info(index, payload), **(info or {}), **_payload(index, payload)}
    body = bz2.compress(_tar(files))
    return Package(subdir or index["subdir"], f"{_stem(index)}.tar.bz2", body)


def _stem(index: Mapping[str, Any]) -> str:
    return f"{index['name']}-{index['version']}-{index['build']}"


def _payload(index: Mapping[str, Any], payload: bytes) -> dict[str, bytes]:
    return {_payload_path(index): payload}


def _payload_path(index: Mapping[str, Any]) -> str:
    return f"share/{index['name']}/data"


def _info(
    index: Mapping[str, Any], payload: bytes, run_exports: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    path = {
        "_path": _payload_path(index),
        "path_type": "hardlink",
        "sha256": sha256(payload).hexdigest(),
        "size_in_bytes": len(payload),
    }
    about = {"summary": f"The package {index['name']}", "license": index.get("license", "")}
    told = {"info/run_exports.json": json.dumps(run_exports).encode()} if run_exports else {}
    return {
        **told,
        "info/index.json": json.dumps(index, ensure_ascii=False, indent=2).encode(),
        "info/about.json": json.dumps(about, indent=2).encode(),
        "info/paths.json": json.dumps({"paths": [path], "paths_version": 1}, indent=2).encode(),
        "info/files": f"{path['_path']}\n".encode(),
    }


def _tar(files: Mapping[str, bytes]) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return body.getvalue()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)
