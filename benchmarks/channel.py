"""A made-up channel with the proportions of a real one; the same for the same size, always.

What matters to an indexer is how many builds share a name (one shard per name), how long a
record is and how much of it repeats.  Builds per name follow a log-normal distribution with a
median of 8 and a mean of about 18.5: a few names with hundreds of builds, many with one or two.
A record takes about 570 bytes in ``repodata.json``, much like those of conda-forge.  The
packages are real ``.conda`` files with a real ``info/``; only their payload is missing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log
from typing import Any

from benchmarks.making import conda
from tests.support.channel import Package

SUBDIR = "linux-64"
_BUILDS_MEDIAN = 8
_BUILDS_SIGMA = 1.295
_FIRST_TIMESTAMP_MS = 1_600_000_000_000
_WORDS = ("arrow", "cloud", "data", "fast", "graph", "http", "json", "kit", "net", "open")
_SUFFIXES = ("api", "cli", "client", "core", "engine", "io", "lib", "parser", "tools", "utils")
_LICENSES = (("MIT", "MIT"), ("BSD-3-Clause", "BSD"), ("Apache-2.0", "Apache"), ("GPL-3.0", "GPL"))


@dataclass(frozen=True, slots=True)
class MadeUpChannel:
    """A channel of ``size`` packages in one subdir, the same ones in each."""

    size: int
    subdir: str = SUBDIR

    def packages(self) -> Iterator[Package]:
        """Every package, in no particular order."""
        return (conda(index) for index in self.indexes())

    def indexes(self) -> Iterator[Mapping[str, Any]]:
        """``index.json`` of every package."""
        draw = random.Random(self.size)  # noqa: S311 - made-up data, not a secret
        names = [f"lib{_WORDS[0]}"]
        made = 0
        while made < self.size:
            name = f"{draw.choice(_WORDS)}-{draw.choice(_SUFFIXES)}-{len(names)}"
            names.append(name)
            builds = max(1, round(draw.lognormvariate(log(_BUILDS_MEDIAN), _BUILDS_SIGMA)))
            license_, family = draw.choice(_LICENSES)
            needs = [_pin(draw, other) for other in draw.choices(names, k=draw.randint(1, 5))]
            for build in range(min(builds, self.size - made)):
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
                    "subdir": self.subdir,
                    "timestamp": _FIRST_TIMESTAMP_MS + made * 60_000,
                    "version": f"{1 + build // 40}.{build // 4}.{build % 4}",
                }


def _pin(draw: random.Random, name: str) -> str:
    major, minor = draw.randint(0, 9), draw.randint(0, 30)
    return f"{name} >={major}.{minor},<{major + 1}.0a0"
