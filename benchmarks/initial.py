"""A channel as it is before anything is measured: packages, and an index that holds them all.

The index is what rattler-index would write, made from what the packages were made from: nobody
has to read half a million packages before anything can be measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import md5, sha256

import zstandard

from benchmarks.channel import SUBDIR, MadeUpChannel
from benchmarks.making import conda

REPODATA = "repodata.json"
REPODATA_ZST = "repodata.json.zst"
INDEX_FILES = (f"{SUBDIR}/{REPODATA}", f"{SUBDIR}/{REPODATA_ZST}", f"noarch/{REPODATA}")
_INDEXED_MS = 1_700_000_000_000
_ZSTD_LEVEL = 9


def objects(channel: MadeUpChannel) -> Iterator[tuple[str, bytes]]:
    """Every file of the channel by its path; those of the index come last."""
    records: list[bytes] = []
    for index in channel.indexes():
        package = conda(index)
        yield package.path, package.body
        record = {
            **{key: value for key, value in index.items() if value != []},
            "indexed_timestamp": _INDEXED_MS,
            "md5": md5(package.body, usedforsecurity=False).hexdigest(),
            "sha256": sha256(package.body).hexdigest(),
            "size": len(package.body),
        }
        told = json.dumps(record, separators=(",", ":"), sort_keys=True)
        records.append(f'"{package.filename}":{told}'.encode())
    records.sort()
    repodata = _repodata(channel.subdir, b",".join(records))
    compressed = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, threads=-1).compress(repodata)
    contents = (repodata, compressed, _repodata("noarch", b""))
    yield from zip(INDEX_FILES, contents, strict=True)


def _repodata(subdir: str, records: bytes) -> bytes:
    return b'{"info":{"subdir":"%b"},"packages":{},"packages.conda":{%b},"repodata_version":1}' % (
        subdir.encode(),
        records,
    )
