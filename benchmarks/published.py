"""The index as clients read it: it has to hold what has happened, or nothing was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import msgspec

from sluice.conda.names import package_name
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from testkit.zstd import one_frame

INDEX_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA)
"""In the order in which clients prefer them."""

Expected = Mapping[str, Mapping[str, Any] | None]
"""By filename: what its record holds, among other things; ``None``: there is none."""
Read = Callable[[str], bytes]
"""Gives a file of the subdir, by its path in there."""


class _Repodata(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    packages_conda: dict[str, msgspec.Raw]


def check(read: Read, expected: Expected) -> dict[str, int]:
    """Read what is published all three ways; sizes of the index files in bytes.

    Raises ``RuntimeError`` where one of them does not hold what is expected.
    """
    bodies = {name: read(name) for name in INDEX_FILES}
    if one_frame(bodies[REPODATA_ZST]) != bodies[REPODATA]:
        raise RuntimeError("repodata.json.zst is not repodata.json")
    records = msgspec.json.decode(bodies[REPODATA], type=_Repodata).packages_conda
    shards = msgpack.unpackb(one_frame(bodies[SHARD_INDEX]))
    by_name: dict[str, dict[str, Mapping[str, Any] | None]] = defaultdict(dict)
    for filename, wanted in expected.items():
        by_name[package_name(filename)][filename] = wanted
        raw = records.get(filename)
        _insist(REPODATA, filename, msgspec.json.decode(raw) if raw else None, wanted)
    for name, files in by_name.items():
        digest, shard = shards["shards"].get(name), {}
        if digest is not None:
            folder = shards["info"]["shards_base_url"].removeprefix("./")
            packed = read(f"{folder}{digest.hex()}.msgpack.zst")
            shard = msgpack.unpackb(one_frame(packed))["packages.conda"]
        for filename, wanted in files.items():
            _insist("the shards", filename, shard.get(filename), wanted)
    return {name: len(body) for name, body in bodies.items()}


def _insist(
    where: str,
    filename: str,
    record: Mapping[str, Any] | None,
    wanted: Mapping[str, Any] | None,
) -> None:
    if (record is None) != (wanted is None):
        raise RuntimeError(f"{filename} should{' not' if wanted is None else ''} be in {where}")
    for key, value in (wanted or {}).items():
        actual = (record or {}).get(key)
        if (actual.hex() if isinstance(actual, bytes) else actual) != value:
            raise RuntimeError(f"{filename} in {where}: {key} is {actual!r}, not {value!r}")
