"""Staging records of made-up packages."""

from __future__ import annotations

from hashlib import md5, sha256
from typing import Any

from sluice.conda.names import parse_filename
from sluice.extract.staging import Indexed, Rejected, Removed
from sluice.layout import Subdir
from sluice.storage.object_id import ObjectId

START_MS = 1_750_000_000_000
SUBDIR = Subdir("Conda/Default", "linux-64")
NOARCH = Subdir("Conda/Default", "noarch")

A = "alpha-1.0-0.conda"
A2 = "alpha-2.0-0.tar.bz2"
B = "beta-1.0-py312_0.conda"
C = "gamma_x-3!1.2+cpu-h1_0.conda"


def record_of(filename: str, body: bytes, *, subdir: str = SUBDIR.name) -> dict[str, Any]:
    """The repodata record that extract would make of a good package."""
    name = parse_filename(filename)
    assert name
    return {
        "build": name.build,
        "build_number": 0,
        "constrains": [],
        "depends": [],
        "md5": md5(body, usedforsecurity=False).hexdigest(),
        "name": name.name,
        "sha256": sha256(body).hexdigest(),
        "size": len(body),
        "subdir": subdir,
        "version": name.version,
    }


def identity_of(body: bytes = b"", *, modified: int = START_MS // 1000) -> ObjectId:
    """The identity of an upload."""
    return ObjectId(f'"{md5(body, usedforsecurity=False).hexdigest()}"', modified, len(body))


def indexed(
    filename: str,
    body: bytes = b"",
    *,
    identity: ObjectId | None = None,
    at: int = START_MS,
    extractor: int = 1,
) -> Indexed:
    """What extract stages for a good package."""
    return Indexed(
        filename=filename,
        extractor=extractor,
        at=at,
        identity=identity or identity_of(body),
        record=record_of(filename, body),
        digests_from={"sha256": "read", "md5": "read"},
    )


def rejected(
    filename: str,
    body: bytes = b"",
    *,
    identity: ObjectId | None = None,
    at: int = START_MS,
    extractor: int = 1,
) -> Rejected:
    """What extract stages for a bad package."""
    return Rejected(
        filename=filename,
        extractor=extractor,
        at=at,
        identity=identity or identity_of(body),
        code="zip-invalid",
        sentence=f"{filename} is no zip file.",
    )


def removed(filename: str, *, at: int = START_MS, extractor: int = 1) -> Removed:
    """What extract stages where nothing is."""
    return Removed(filename=filename, extractor=extractor, at=at)
