"""What conda-index leaves in a subdir's folder, as its version 0.13.0 was seen to do.

Run on three packages with ``--write-shards --zst``, with a patch generator that removes one and
revokes one, with ``--base-url``, and with ``--no-write-monolithic``.  It is no dependency of the
tests because it needs conda, which the package registry for Python has only in old versions.

Unlike rattler-index it knows no ``indexed_timestamp``; its shards lie beside the index, hold
``run_exports`` and leave ``removed`` out where nothing was.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

import msgpack
import zstandard

from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX

_OF_INDEX_JSON_DROPPED = ("arch", "platform")


def conda_index(
    records: Mapping[str, Mapping[str, Any]],
    *,
    subdir: str,
    removed: Collection[str] = (),
    revoked: Collection[str] = (),
    base_url: str | None = None,
    monolithic: bool = True,
) -> dict[str, bytes]:
    """The files of a subdir whose packages have these records, by name."""
    published = {
        filename: _revoked(record) if filename in revoked else _plain(record)
        for filename, record in records.items()
        if filename not in removed
    }
    info = {"base_url": f"{base_url.rstrip('/')}/{subdir}/"} if base_url else {}
    repodata = {
        "info": {**info, "subdir": subdir},
        **_by_archive(published),
        "removed": sorted(removed),
        "repodata_version": 2 if base_url else 1,
    }
    body = json.dumps(repodata, separators=(",", ":"), sort_keys=True).encode()
    files = {"index.html": b"<html></html>", **_shards(published, removed, info, subdir)}
    if monolithic:
        unpatched = {**repodata, **_by_archive({f: _plain(r) for f, r in records.items()})}
        files |= {
            REPODATA: body,
            REPODATA_ZST: zstandard.ZstdCompressor().compress(body),
            "repodata_from_packages.json": json.dumps({**unpatched, "removed": []}).encode(),
            "patch_instructions.json": json.dumps({"remove": sorted(removed)}).encode(),
        }
    return files


def _shards(
    records: Mapping[str, Mapping[str, Any]],
    removed: Collection[str],
    info: Mapping[str, str],
    subdir: str,
) -> dict[str, bytes]:
    files, digests = {}, {}
    for name in sorted({record["name"] for record in records.values()}):
        of_name = {
            filename: _in_a_shard(record)
            for filename, record in records.items()
            if record["name"] == name
        }
        gone = sorted(filename for filename in removed if filename.startswith(f"{name}-"))
        shard = {**_by_archive(of_name), **({"removed": gone} if gone else {})}
        packed = zstandard.ZstdCompressor().compress(msgpack.packb(shard))
        digests[name] = sha256(packed).digest()
        files[f"{digests[name].hex()}.msgpack.zst"] = packed
    index = {
        "version": 1,
        "info": {
            "base_url": "",
            "shards_base_url": "",
            "created_at": "2026-01-01T00:00:00Z",
            "subdir": subdir,
            **info,
        },
        "shards": digests,
    }
    return {**files, SHARD_INDEX: zstandard.ZstdCompressor().compress(msgpack.packb(index))}


def _by_archive(records: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    conda, tar_bz2 = PACKAGE_SUFFIXES
    return {
        "packages": {f: dict(r) for f, r in records.items() if f.endswith(tar_bz2)},
        "packages.conda": {f: dict(r) for f, r in records.items() if f.endswith(conda)},
    }


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in _OF_INDEX_JSON_DROPPED}


def _revoked(record: Mapping[str, Any]) -> dict[str, Any]:
    depends = [*record["depends"], "package_has_been_revoked"]
    return {**_plain(record), "depends": depends, "revoked": True}


def _in_a_shard(record: Mapping[str, Any]) -> dict[str, Any]:
    digests = {key: bytes.fromhex(record[key]) for key in ("md5", "sha256") if key in record}
    return {**record, **digests, "run_exports": {}}
