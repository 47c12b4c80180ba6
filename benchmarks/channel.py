"""The channel that is measured: as it is before, and what happens to it.

Pure, and always the same.  The first index is what rattler-index would write, made from what the
packages were made from: nobody has to read half a million packages before anything can be measured.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5, sha256
from typing import Any

import zstandard

from testkit.channel import PATCHES, Package, patch_package
from testkit.made_up import SUBDIR, conda, indexes, packages

BURST_PACKAGES = 1000
PATCHED_PACKAGES = 100
SLUICE_TOML = "sluice.toml"
_DRAWN = 1000
_REPODATA = (f"{SUBDIR}/repodata.json", f"{SUBDIR}/repodata.json.zst", "noarch/repodata.json")
_INDEXED_MS = 1_700_000_000_000
_ZSTD_LEVEL = 9
_NEVER_BEFORE = 99
"""A major version that no package of the channel has."""


@dataclass(frozen=True, slots=True)
class Change:
    """Files that are put and files that are removed, by path within the channel."""

    put: Mapping[str, bytes] = field(default_factory=dict)
    removed: Sequence[str] = ()
    expected: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    """What the record of a file holds afterwards, among other things; ``None``: there is none."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """Numbers to report beside what is measured."""


class Changes:
    """What may happen to a channel of a size; the numbers make a change another one each time."""

    def __init__(self, size: int) -> None:
        self._size = size
        draw = random.Random(size)  # noqa: S311 - made-up data, not a secret
        counts: Counter[str] = Counter()
        first: dict[str, Mapping[str, Any]] = {}
        self._drawn: list[Mapping[str, Any]] = []
        for number, index in enumerate(indexes(size)):
            counts[index["name"]] += 1
            first.setdefault(index["name"], index)
            if number < _DRAWN:
                self._drawn.append(index)
            elif (place := draw.randint(0, number)) < _DRAWN:
                self._drawn[place] = index
        draw.shuffle(self._drawn)
        self._names = len(counts)
        by_count = sorted(counts, key=lambda name: (counts[name], name))
        self._median = first[by_count[len(by_count) // 2]]

    def upload(self, number: int) -> Change:
        """A new build of a name that has a median count of builds, always the same one."""
        return _put(conda({**self._median, "version": f"{_NEVER_BEFORE}.{number}.0"}))

    def overwrite(self, number: int) -> Change:
        """Other content under a filename that is there."""
        index = self._drawn[number % len(self._drawn)]
        return _put(conda({**index, "timestamp": index["timestamp"] + 1 + number}))

    def removal(self, number: int) -> Change:
        """A package that is deleted."""
        package = conda(self._drawn[number % len(self._drawn)])
        return Change(removed=(package.path,), expected={package.filename: None})

    def burst(self, number: int) -> Change:
        """A new build for each of many packages that were drawn, whatever their names."""
        drawn = [self._drawn[i % len(self._drawn)] for i in range(BURST_PACKAGES)]
        burst = [
            conda({**index, "version": f"{_NEVER_BEFORE}.{number}.{i}"})
            for i, index in enumerate(drawn)
        ]
        names = {index["name"] for index in drawn}
        return _put(*burst, facts={"packages": len(burst), "names": len(names)})

    def everything(self) -> Change:
        """Every package of the channel, into an empty bucket."""
        facts = {"packages": self._size, "names": self._names}
        return _put(*packages(self._size), facts=facts)

    def patch(self, number: int) -> Change:
        """A version of the patch package, which gives many packages another license."""
        license_ = f"LicenseRef-{number}"
        filenames = [conda(index).filename for index in self._drawn[:PATCHED_PACKAGES]]
        patched = {filename: {"license": license_} for filename in filenames}
        instructions = {"patch_instructions_version": 1, "packages.conda": patched}
        package = patch_package(str(number), {SUBDIR: instructions})
        facts = {
            "packages": len(filenames),
            "names": len({index["name"] for index in self._drawn[:PATCHED_PACKAGES]}),
        }
        return Change({package.path: package.body}, expected=patched, facts=facts)


def patches_in_force() -> Change:
    """A configuration by which the patch package is looked for."""
    return Change({SLUICE_TOML: f'[sluice]\npatches = "{PATCHES}"\n'.encode()})


def _put(*packages: Package, facts: Mapping[str, float] | None = None) -> Change:
    return Change(
        {package.path: package.body for package in packages},
        expected={
            package.filename: {"sha256": sha256(package.body).hexdigest()} for package in packages
        },
        facts=facts or {},
    )


def files(size: int) -> Iterator[tuple[str, bytes]]:
    """Every file of an indexed channel by its path; those of the index come last."""
    records: list[bytes] = []
    for index in indexes(size):
        package = conda(index)
        yield package.path, package.body
        record = {
            **{key: value for key, value in index.items() if value != []},
            "indexed_timestamp": _INDEXED_MS,
            "md5": md5(package.body, usedforsecurity=False).hexdigest(),
            "sha256": sha256(package.body).hexdigest(),
            "size": len(package.body),
        }
        encoded = json.dumps(record, separators=(",", ":"), sort_keys=True)
        records.append(f'"{package.filename}":{encoded}'.encode())
    repodata = _repodata(SUBDIR, b",".join(sorted(records)))
    compressed = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, threads=-1).compress(repodata)
    yield from zip(_REPODATA, (repodata, compressed, _repodata("noarch", b"")), strict=True)


def _repodata(subdir: str, records: bytes) -> bytes:
    return b'{"info":{"subdir":"%b"},"packages":{},"packages.conda":{%b},"repodata_version":1}' % (
        subdir.encode(),
        records,
    )
