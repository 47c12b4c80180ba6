"""The packages that people upload, and what a full index of a bucket says of them.

What is said here knows nothing of sluice's code: a good package is in the index under the metadata
that it was built with, anything else is rejected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import md5, sha256, sha512
from typing import Any

from sluice.conda.names import parse_filename
from sluice.layout import Subdir
from sluice.package.read_limits import ReadLimits
from sluice.storage.object_store import ObjectInfo
from testkit.channel import conda, tar_bz2

FILENAMES = (
    "alpha-1.0-0.conda",
    "alpha-2.0-0.conda",
    "alpha-2.0-0.tar.bz2",
    "beta-1.0-py_0+cpu.conda",
)
"""Two names, of which one has several files.  Servers write the plus in different ways."""
SUFFIXES = (".conda", ".tar.bz2")
CORRUPT = tuple(f"no package, {number}".encode() for number in range(2))
ODD = ("Not_a-1+0!-0.conda", "package.conda", "alpha-1.0.tar.bz2")
"""Lie where packages lie, but can be none; only the first has a package's name in it."""
REFUSED = ("alpha 1.0-0.conda", "Not a-1+0%20-0.conda", "beta-1.0-py_0%2Bcpu.conda")
"""Files that are no packages whatever is in them: keys have no spaces and no percent signs."""

FIRST_READ = ReadLimits(
    index_bytes_max=2048, cpu_seconds_max=math.inf, whole_read_bytes_max=math.inf
)
"""In the place of the real one, so that what is slow is small, and always the same."""
_MANY_DEPENDS = [f"one-of-many-{number}" for number in range(100)]
_good: dict[bytes, tuple[str, str, dict[str, Any]]] = {}
"""Subdir, filename and metadata of every package that was ever built, by its bytes."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a package lies."""

    subdir: Subdir
    filename: str

    @property
    def key(self) -> str:
        """The key in the channel bucket."""
        return self.subdir.file_key(self.filename)


@cache
def misplaced(subdir: str, filename: str, *, slow: bool = False) -> bytes:
    """Build a good package for that place, to be put elsewhere, and larger than all that are there.

    Where another tool's record of a place is at hand, what lies there and only breaks a rule of
    ours is taken for that record's package if it has the same size.
    """
    return good(subdir, filename, 0, payload=sha512(filename.encode()).digest(), slow=slow)


@cache
def good(
    subdir: str, filename: str, variant: int, *, payload: bytes = b"", slow: bool = False
) -> bytes:
    """Build a good package for that place, in a variant of it.

    ``slow``: it exceeds ``FIRST_READ``, so it is for the slow lane.
    """
    name = parse_filename(filename)
    assert name
    index = {
        "name": name.name,
        "version": name.version,
        "build": name.build,
        "build_number": 0,
        "depends": [f"other {variant}", *_MANY_DEPENDS * slow],
        "subdir": subdir,
    }
    build = conda if name.suffix == ".conda" else tar_bz2
    body = build(index, payload=payload).body
    _good[body] = subdir, filename, index
    return body


def register(subdir: str, filename: str, body: bytes, index: dict[str, Any]) -> None:
    """Take note of a good package that was built elsewhere for that place."""
    _good[body] = subdir, filename, index


def stated_digest(info: ObjectInfo) -> str | None:
    """The SHA-256 that the uploader of an object says it has."""
    return info.metadata.get("package-sha256")


def misstates(info: ObjectInfo, body: bytes) -> bool:
    """Whether an object has another SHA-256 than its uploader says."""
    return stated_digest(info) not in (None, sha256(body).hexdigest())


@cache
def record_of(subdir: str, filename: str, body: bytes) -> Mapping[str, Any] | None:
    """The record of a package in that place, or ``None`` where it cannot be in the index."""
    told = _good.get(body)
    if told is None or told[:2] != (subdir, filename):
        return None
    return {
        **told[2],
        "constrains": [],
        "md5": md5(body, usedforsecurity=False).hexdigest(),
        "sha256": sha256(body).hexdigest(),
        "size": len(body),
    }


def lies_in(subdir: Subdir, key: str) -> str | None:
    """The filename, where ``key`` is one of a package directly in that folder."""
    filename = key.removeprefix(subdir.prefix)
    if filename == key or "/" in filename or not filename.endswith(SUFFIXES):
        return None
    if " " in key or "%" in key:
        return None
    if filename.count("-") < 2:
        return None
    return filename


def misplaced_keys(subdir: Subdir, filename: str) -> list[str]:
    """Keys that somebody might mistake for that of a package."""
    parent = f"{subdir.channel}/" if subdir.channel else ""
    return [
        f"{parent}linux64/{filename}",
        f"my team/{subdir.name}/{filename}",
        f"my%2Bteam/{subdir.name}/{filename}",
        f"{subdir.prefix}old/{filename}",
        *(subdir.file_key(refused) for refused in REFUSED),
    ]


def full_index(
    subdir: Subdir, bodies: Mapping[str, bytes]
) -> tuple[dict[str, Mapping[str, Any]], set[str]]:
    """Index a folder from beginning to end: the records, and what is rejected."""
    records, rejects = {}, set()
    for filename, body in bodies.items():
        record = record_of(subdir.name, filename, body)
        if record is None:
            rejects.add(filename)
        else:
            records[filename] = record
    return records, rejects
