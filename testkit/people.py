"""Channels on disk as sluice publishes them for people: the page, its listing, shards."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from sluice import zstd
from sluice.catalog.codec import pack_plain
from sluice.channel_files import page, page_data
from sluice.layout import PAGE, PAGE_DATA, REPODATA, SHARD_INDEX
from sluice.publish.fence import Stamp

S3_URL = "s3://my-bucket/team"
"""The channel's, as its page says."""
_STAMP = Stamp(1, page.page_digest(), "state")
_SECONDS = 1_750_000_000
_DAY = 86_400
_FIRST = (
    "arrow",
    "cairo",
    "flux",
    "grid",
    "helio",
    "json",
    "kite",
    "lumen",
    "mesh",
    "nova",
    "orbit",
)
_THEN = (
    "cast",
    "db",
    "dist",
    "fit",
    "gen",
    "graph",
    "io",
    "kit",
    "lab",
    "net",
    "plot",
    "py",
    "sim",
)
_SAYS = (
    "Fast and tested tools for {0} and {1}",
    "Python bindings to the {0} library",
    "A small command line for working with {0} data",
    "Reads and writes {0}, {1} and their compressed variants",
)


@dataclass(frozen=True, slots=True)
class Build:
    """One package file."""

    name: str
    version: str = "1.0"
    build: str = "h0_0"
    subdir: str = "linux-64"
    depends: tuple[str, ...] = ()
    size: int = 123_456
    timestamp: int = _SECONDS
    """Seconds since the epoch."""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def filename(self) -> str:
        """The name of the file."""
        return f"{self.name}-{self.version}-{self.build}.conda"

    @property
    def digest(self) -> bytes:
        """A made-up SHA-256."""
        return sha256(self.filename.encode()).digest()

    def record(self) -> dict[str, Any]:
        """The record of the build in ``repodata.json``."""
        return {
            "build": self.build,
            "build_number": 0,
            "constrains": [],
            "depends": list(self.depends),
            "name": self.name,
            "sha256": self.digest,
            "size": self.size,
            "subdir": self.subdir,
            "timestamp": self.timestamp * 1000,
            "version": self.version,
            **self.more,
        }


def write(
    folder: Path,
    builds: Iterable[Build],
    *,
    about: Mapping[str, Mapping[str, Any]] | None = None,
    base_url: str = "",
) -> None:
    """Publish builds, of which the first of each name is its newest; ``about`` by name."""
    published = list(builds)
    write_listing(folder, published, about=about)
    for subdir in {one.subdir for one in published}:
        names: dict[str, list[Build]] = {}
        for one in published:
            if one.subdir == subdir:
                names.setdefault(one.name, []).append(one)
        _write_shards(folder / subdir, names, base_url=base_url)


def write_listing(
    folder: Path, builds: Iterable[Build], *, about: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Publish the page and what it lists, without any index."""
    shown: dict[str, dict[str, Any]] = {}
    for one in builds:
        newest = {"version": one.version, "timestamp": one.timestamp, "subdirs": []}
        package = shown.setdefault(one.name, {**newest, **(about or {}).get(one.name, {})})
        if one.subdir not in package["subdirs"]:
            package["subdirs"].append(one.subdir)
    subdirs = sorted({subdir for package in shown.values() for subdir in package["subdirs"]})
    body = page_data.render_page_data(
        dict(sorted(shown.items())), subdirs=subdirs, stamp=_STAMP, s3_url=S3_URL
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_bytes(page.render_page())
    (folder / PAGE_DATA).write_bytes(body)


def write_repodata(folder: Path, builds: Iterable[Build]) -> None:
    """Publish the one big index of a subdir, and no shards."""
    folder.mkdir(parents=True, exist_ok=True)
    records = {one.filename: {**one.record(), "sha256": one.digest.hex()} for one in builds}
    document = {"info": {"subdir": folder.name}, "packages": {}, "packages.conda": records}
    (folder / REPODATA).write_bytes(json_of(document))


def many(count: int) -> list[Build]:
    """So many names, of the length and with the words that names have; the same every time."""
    choice = random.Random(count)  # noqa: S311 - nothing to guess
    builds = []
    for number in range(count):
        first, then = choice.choice(_FIRST), choice.choice(_THEN)
        builds.append(
            Build(
                f"{first}-{then}{number}",
                version=f"{choice.randrange(9)}.{choice.randrange(30)}.{choice.randrange(10)}",
                subdir=choice.choice(("linux-64", "noarch", "osx-arm64", "win-64")),
                timestamp=_SECONDS - choice.randrange(2000 * _DAY),
            )
        )
    return builds


def summaries(builds: Iterable[Build]) -> dict[str, dict[str, Any]]:
    """What each package says of itself."""
    choice = random.Random(0)  # noqa: S311 - nothing to guess
    return {
        one.name: {
            "summary": choice.choice(_SAYS).format(*choice.sample(_FIRST, 2)),
            "license": choice.choice(("BSD-3-Clause", "MIT", "Apache-2.0")),
            "home": f"https://{one.name}.example.org/",
            "dev_url": f"https://git.example.org/{one.name}",
        }
        for one in builds
    }


def json_of(document: Any) -> bytes:
    """As it is published."""
    return msgspec.json.encode(document)


def _write_shards(folder: Path, names: Mapping[str, list[Build]], *, base_url: str) -> None:
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    shards: dict[str, bytes] = {}
    for name, builds in sorted(names.items()):
        records = {one.filename: one.record() for one in builds}
        content = {"at": 1, "packages": {}, "packages.conda": records, "removed": []}
        body = zstd.compress(pack_plain(content))
        shards[name] = sha256(body).digest()
        (folder / "shards" / f"{shards[name].hex()}.msgpack.zst").write_bytes(body)
    info = {"base_url": base_url, "shards_base_url": "./shards/", "subdir": folder.name}
    index = {"info": info, "shards": shards, "version": 1}
    (folder / SHARD_INDEX).write_bytes(zstd.compress(pack_plain(index)))
