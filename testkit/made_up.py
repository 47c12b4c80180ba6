"""A made-up channel with the proportions of a real one; the same for the same size, always.

What matters to an indexer is how many builds share a name (one shard per name), how long a
record is and how much of it repeats.  Builds per name follow a log-normal distribution with a
median of 8 and a mean of about 18.5: a few names with hundreds of builds, many with one or two.
A record takes about 570 bytes in ``repodata.json``, much like those of conda-forge.

The packages are real ``.conda`` files with a real ``info/``; only their payload is missing.  They
are made by the hundred thousand: what those of one name share is made once, and zips are written
ten times faster than by ``zipfile``.  Pure.
"""

from __future__ import annotations

import json
import random
import struct
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from math import log
from typing import Any
from zlib import crc32

import zstandard

from testkit.channel import Package

SUBDIR = "linux-64"
_BUILDS_MEDIAN = 8
_BUILDS_SIGMA = 1.295
_FIRST_TIMESTAMP_MS = 1_600_000_000_000
_WORDS = ("arrow", "cloud", "data", "fast", "graph", "http", "json", "kit", "net", "open")
_SUFFIXES = ("api", "cli", "client", "core", "engine", "io", "lib", "parser", "tools", "utils")
_LICENSES = (("MIT", "MIT"), ("BSD-3-Clause", "BSD"), ("Apache-2.0", "Apache"), ("GPL-3.0", "GPL"))
_END_OF_TAR = bytes(2 * tarfile.BLOCKSIZE)
_EMPTY_SHA256 = sha256(b"").hexdigest()
_LOCAL_ENTRY = struct.Struct("<4s5H3L2H")
_CENTRAL_ENTRY = struct.Struct("<4s6H3L5H2L")
_END_OF_ZIP = struct.Struct("<4s4H2LH")
_ZIP_VERSION = 20
_ZIP_DATE = (2024 - 1980) << 9 | 1 << 5 | 1
_compressor = zstandard.ZstdCompressor(level=1)


def packages(size: int, subdir: str = SUBDIR) -> Iterator[Package]:
    """Every package of a channel of ``size`` packages, in no particular order."""
    return map(conda, indexes(size, subdir))


def indexes(size: int, subdir: str = SUBDIR) -> Iterator[Mapping[str, Any]]:
    """``index.json`` of every package of a channel of ``size`` packages in one subdir."""
    draw = random.Random(size)  # noqa: S311 - made-up data, not a secret
    names = [f"lib{_WORDS[0]}"]
    made = 0
    while made < size:
        name = f"{draw.choice(_WORDS)}-{draw.choice(_SUFFIXES)}-{len(names)}"
        names.append(name)
        builds = max(1, round(draw.lognormvariate(log(_BUILDS_MEDIAN), _BUILDS_SIGMA)))
        license_, family = draw.choice(_LICENSES)
        needs = [_pin(draw, other) for other in draw.choices(names, k=draw.randint(1, 5))]
        for build in range(min(builds, size - made)):
            made += 1
            digest = f"{draw.getrandbits(28):07x}"
            yield {
                "arch": "x86_64",
                "build": f"py31{build % 4}h{digest}_{build % 2}",
                "build_number": build % 2,
                "constrains": [],
                "depends": sorted(
                    [
                        "__glibc >=2.17,<3.0.a0",
                        "libgcc >=13",
                        f"python >=3.1{build % 4}",
                        *needs,
                    ]
                ),
                "license": license_,
                "license_family": family,
                "name": name,
                "platform": "linux",
                "subdir": subdir,
                "timestamp": _FIRST_TIMESTAMP_MS + made * 60_000,
                "version": f"{1 + build // 40}.{build // 4}.{build % 4}",
            }


def payload(number: int, size: int) -> bytes:
    """A payload of ``size`` bytes, as if it did not compress; another one for each number."""
    return _compressor.compress(b"%d" % number) + _noise(size)


@lru_cache(1)
def _noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - made-up data, not a secret


def conda(index: Mapping[str, Any], packed: bytes | None = None) -> Package:
    """A package as ``testkit.channel.conda`` makes it, but for how well it is compressed.

    ``packed``: its payload, instead of a tar with one empty file.
    """
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    small, about = _of_name(index["name"], index["license"])
    info = _tar_member("info/index.json", json.dumps(index).encode()) + about
    members = (
        ("metadata.json", b'{"conda_pkg_format_version": 2}'),
        (f"pkg-{stem}.tar.zst", packed or small),
        (f"info-{stem}.tar.zst", _compressor.compress(info)),
    )
    return Package(index["subdir"], f"{stem}.conda", stored_zip(members))


def stored_zip(members: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of these files, none of them compressed and all of them of one date."""
    pieces: list[bytes] = []
    directory: list[bytes] = []
    at = 0
    for name, body in members:
        path, size = name.encode(), len(body)
        entry = (0, 0, 0, _ZIP_DATE, crc32(body), size, size, len(path), 0)
        pieces += (_LOCAL_ENTRY.pack(b"PK\3\4", _ZIP_VERSION, *entry), path, body)
        versions = (_ZIP_VERSION, _ZIP_VERSION)
        directory += (_CENTRAL_ENTRY.pack(b"PK\1\2", *versions, *entry, 0, 0, 0, 0, at), path)
        at += _LOCAL_ENTRY.size + len(path) + size
    central = b"".join(directory)
    count = len(directory) // 2
    end = _END_OF_ZIP.pack(b"PK\5\6", 0, 0, count, count, len(central), at, 0)
    return b"".join((*pieces, central, end))


@lru_cache(64)
def _of_name(name: str, license_: str) -> tuple[bytes, bytes]:
    """The payload, and what stands in ``info/`` behind ``index.json``."""
    path = f"share/{name}/data"
    about = {"summary": f"The package {name}", "license": license_}
    file = {"_path": path, "path_type": "hardlink", "sha256": _EMPTY_SHA256, "size_in_bytes": 0}
    info = (
        _tar_member("info/about.json", json.dumps(about).encode()),
        _tar_member("info/paths.json", json.dumps({"paths": [file], "paths_version": 1}).encode()),
        _tar_member("info/files", f"{path}\n".encode()),
    )
    payload = _compressor.compress(_tar_member(path, b"") + _END_OF_TAR)
    return payload, b"".join(info) + _END_OF_TAR


def _tar_member(name: str, body: bytes) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = len(body)
    return header.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % tarfile.BLOCKSIZE)


def _pin(draw: random.Random, name: str) -> str:
    major, minor = draw.randint(0, 9), draw.randint(0, 30)
    return f"{name} >={major}.{minor},<{major + 1}.0a0"
