"""What happens to a channel, and what its index has to hold then.  Pure, and always the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from benchmarks.channel import MadeUpChannel
from benchmarks.making import conda
from tests.support.channel import PATCHES, Package, patch_package

BURST_PACKAGES = 1000
PATCHED_PACKAGES = 100
SLUICE_TOML = "sluice.toml"
_DRAWN = 1000
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
    """What may happen to one channel; the numbers make a change another one each time."""

    def __init__(self, channel: MadeUpChannel) -> None:
        self._channel = channel
        draw = random.Random(channel.size)  # noqa: S311 - made-up data, not a secret
        counts: Counter[str] = Counter()
        first: dict[str, Mapping[str, Any]] = {}
        self._drawn: list[Mapping[str, Any]] = []
        for number, index in enumerate(channel.indexes()):
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
        indexes = [self._drawn[i % len(self._drawn)] for i in range(BURST_PACKAGES)]
        packages = [
            conda({**index, "version": f"{_NEVER_BEFORE}.{number}.{i}"})
            for i, index in enumerate(indexes)
        ]
        names = {index["name"] for index in indexes}
        return _put(*packages, facts={"packages": len(packages), "names": len(names)})

    def everything(self) -> Change:
        """Every package of the channel, into an empty bucket."""
        facts = {"packages": self._channel.size, "names": self._names}
        return _put(*self._channel.packages(), facts=facts)

    def patch(self, number: int) -> Change:
        """A version of the patch package, which says something new of many packages."""
        license_ = f"LicenseRef-{number}"
        filenames = [conda(index).filename for index in self._drawn[:PATCHED_PACKAGES]]
        told = {filename: {"license": license_} for filename in filenames}
        instructions = {"patch_instructions_version": 1, "packages.conda": told}
        package = patch_package(str(number), {self._median["subdir"]: instructions})
        facts = {
            "packages": len(filenames),
            "names": len({index["name"] for index in self._drawn[:PATCHED_PACKAGES]}),
        }
        return Change({package.path: package.body}, expected=told, facts=facts)


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
