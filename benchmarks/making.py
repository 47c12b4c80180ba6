"""Real ``.conda`` files by the hundred thousand: what those of one name share is made once."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

import zstandard

from benchmarks.stored_zip import stored_zip
from tests.support.channel import Package

_BLOCK_BYTES = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK_BYTES)
_FORMAT = b'{"conda_pkg_format_version": 2}'
_EMPTY_SHA256 = sha256(b"").hexdigest()
_NAMES_REMEMBERED = 64
_compressor = zstandard.ZstdCompressor(level=1)


def conda(index: Mapping[str, Any]) -> Package:
    """A package as ``tests.support.channel.conda`` makes it, but for how well it is compressed."""
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    told = _member("info/index.json", json.dumps(index).encode())
    payload, about = _of_name(index["name"], index["license"])
    members = (
        ("metadata.json", _FORMAT),
        (f"pkg-{stem}.tar.zst", payload),
        (f"info-{stem}.tar.zst", _compressor.compress(told + about)),
    )
    return Package(index["subdir"], f"{stem}.conda", stored_zip(members))


@lru_cache(_NAMES_REMEMBERED)
def _of_name(name: str, license_: str) -> tuple[bytes, bytes]:
    """The payload, and what stands in ``info/`` behind ``index.json``."""
    path = f"share/{name}/data"
    about = {"summary": f"The package {name}", "license": license_}
    file = {
        "_path": path,
        "path_type": "hardlink",
        "sha256": _EMPTY_SHA256,
        "size_in_bytes": 0,
    }
    info = (
        _member("info/about.json", json.dumps(about).encode())
        + _member("info/paths.json", json.dumps({"paths": [file], "paths_version": 1}).encode())
        + _member("info/files", f"{path}\n".encode())
        + _END
    )
    return _compressor.compress(_member(path, b"") + _END), info


def _member(name: str, body: bytes) -> bytes:
    """A member of a tar archive."""
    header = tarfile.TarInfo(name)
    header.size = len(body)
    return header.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % _BLOCK_BYTES)
