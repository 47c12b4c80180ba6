"""Whole indexes as ``repodata.json`` has them, to see how well they compress.

How well an index compresses is a question of its records, so there are several kinds.  In all of
them the digests, which nothing compresses below half their size, are most of the result.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from sluice.publish import repodata
from sluice.publish.fence import Stamp
from testkit.made_up import SUBDIR, indexes

_Record = Mapping[str, Any]
_Files = Iterator[tuple[str, _Record]]
_STAMP = Stamp(generation=7, tree="7e" * 32, owner="state-bucket")
_MONTH_MS = 30 * 24 * 3600 * 1000
_FIRST_TIMESTAMP_MS = 1_500_000_000_000
_CONDA_SINCE_MS = _FIRST_TIMESTAMP_MS + 24 * _MONTH_MS
_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
_SYLLABLES = ("an", "bio", "core", "dat", "el", "flow", "geo", "hub", "io", "jup", "kit", "lib")
_RUNTIMES = (
    ("__glibc >=2.17,<3.0.a0", "libgcc >=13", "libstdcxx >=13"),
    ("libgcc-ng >=12", "libstdcxx-ng >=12"),
    (),
)
_LICENSES = (
    ("MIT", "MIT"),
    ("BSD-3-Clause", "BSD"),
    ("Apache-2.0", "APACHE"),
    ("GPL-3.0-or-later", "GPL"),
    ("LGPL-2.1-only WITH GCC-exception-2.0", "LGPL"),
)


def made_up(records: int) -> bytes:
    """The channel of ``testkit.made_up``, as sluice publishes it."""
    draw = _random(records)
    return _render((f"{_stem(index)}.conda", _published(draw, index)) for index in indexes(records))


def like_conda_forge(records: int) -> bytes:
    """Longer dependency lists, a build per Python, hashes in build strings, old packages."""
    draw = _random(records)
    return _render(
        (f"{_stem(index)}{_extension(index)}", _published(draw, index))
        for index in _conda_forge(draw, records)
    )


def in_both_formats(records: int) -> bytes:
    """Every build as ``.tar.bz2`` and, made out of it, as ``.conda``, as in Anaconda's channels.

    The two records of a build are half the file apart.
    """
    draw = _random(records)
    return _render(
        file for index in _conda_forge(draw, records // 2) for file in _twice(draw, index)
    )


KINDS: Mapping[str, Callable[[int], bytes]] = {
    "made up": made_up,
    "like conda-forge": like_conda_forge,
    "in both formats": in_both_formats,
}


def _random(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - made-up data, not a secret


def _render(files: _Files) -> bytes:
    records = {
        filename: msgspec.Raw(msgspec.json.encode(record, order="sorted"))
        for filename, record in files
    }
    contents = repodata.RepodataContents(records)
    return repodata.render_repodata(contents, info={}, subdir=SUBDIR, stamp=_STAMP)


def _stem(index: _Record) -> str:
    return f"{index['name']}-{index['version']}-{index['build']}"


def _extension(index: _Record) -> str:
    return ".conda" if index["timestamp"] >= _CONDA_SINCE_MS else ".tar.bz2"


def _published(draw: random.Random, index: _Record) -> _Record:
    return {
        **index,
        "indexed_timestamp": index["timestamp"] + draw.randrange(600_000),
        "md5": f"{draw.getrandbits(128):032x}",
        "sha256": f"{draw.getrandbits(256):064x}",
        "size": int(draw.lognormvariate(12, 2.5)),
    }


def _twice(draw: random.Random, index: _Record) -> _Files:
    old = _published(draw, index)
    yield f"{_stem(index)}.tar.bz2", old
    legacy = {"legacy_bz2_md5": old["md5"], "legacy_bz2_size": old["size"]}
    yield f"{_stem(index)}.conda", _published(draw, {**index, **legacy})


def _conda_forge(draw: random.Random, records: int) -> Iterator[_Record]:
    """``index.json`` of packages with the proportions of conda-forge's."""
    names = [_name(draw, number) for number in range(max(10, records // 10))]
    hashes = [_hash(draw) for _ in range(max(10, records // 8))]
    made = 0
    for name in names:
        license_, family = draw.choice(_LICENSES)
        runtimes = draw.choice(_RUNTIMES)
        needs = dict(_need(draw, names) for _ in range(draw.randint(0, 14)))
        for_python = draw.random() < 0.6
        at = _FIRST_TIMESTAMP_MS + draw.randrange(60) * _MONTH_MS
        for version in range(max(1, round(draw.lognormvariate(1.3, 1)))):
            at += draw.randrange(_MONTH_MS)
            if draw.random() < 0.4:
                needs.update([_need(draw, names)])
            for python in draw.sample(_PYTHONS, 4) if for_python else [None]:
                # Variants that agree on what they pin share a hash, in other packages too.
                hash_ = draw.choice(hashes) if draw.random() < 0.5 else _hash(draw)
                yield {
                    "build": f"py{python.replace('.', '')}{hash_}_0" if python else f"{hash_}_0",
                    "build_number": 0,
                    "constrains": list(needs.values())[:2] if draw.random() < 0.2 else [],
                    "depends": sorted([*runtimes, *needs.values(), *_pins(python)]),
                    "license": license_,
                    "license_family": family,
                    "name": name,
                    "subdir": SUBDIR,
                    "timestamp": at + draw.randrange(3_600_000),
                    "version": f"{1 + version // 30}.{version // 5 % 6}.{version % 5}",
                }
                made += 1
                if made == records:
                    return


def _name(draw: random.Random, number: int) -> str:
    return f"{''.join(draw.choices(_SYLLABLES, k=draw.randint(2, 4)))}{number % 997 or ''}"


def _hash(draw: random.Random) -> str:
    return f"h{draw.getrandbits(28):07x}"


def _need(draw: random.Random, names: list[str]) -> tuple[str, str]:
    name = names[int(len(names) * draw.random() ** 3)]  # few are needed by many
    major, minor = draw.randint(0, 9), draw.randint(0, 30)
    upper = draw.choice((f",<{major + 1}.0a0", f",<{major}.{minor + 1}.0a0", ""))
    return name, f"{name} >={major}.{minor}.{draw.randint(0, 4)}{upper}"


def _pins(python: str | None) -> list[str]:
    if python is None:
        return []
    minor = int(python.removeprefix("3."))
    return [f"python >={python},<3.{minor + 1}.0a0", f"python_abi {python}.* *_cp3{minor}"]
