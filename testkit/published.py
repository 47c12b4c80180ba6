"""A published index as clients read it, all three ways, which must agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgpack

from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from testkit.zstd import one_frame

Read = Callable[[str], bytes]
"""Gives a file of one subdir, by its path in there; fails where there is none."""
Records = dict[str, dict[str, Any]]
"""By filename."""


@dataclass(frozen=True, slots=True)
class Index:
    """The index of one subdir."""

    generation: int
    records: Records

    @property
    def digests(self) -> dict[str, str]:
        """Hex SHA-256 of each package, by filename."""
        return {filename: record["sha256"] for filename, record in self.records.items()}


def read_index(read: Read) -> Index:
    """Read ``repodata.json``, its compressed form and the shards; fails where they differ."""
    body = read(REPODATA)
    assert one_frame(read(REPODATA_ZST)) == body
    repodata = json.loads(body)
    records: Records = {**repodata["packages"], **repodata["packages.conda"]}
    shard_index = msgpack.unpackb(one_frame(read(SHARD_INDEX)))
    assert shard_index["info"]["subdir"] == repodata["info"]["subdir"]
    assert shard_index["info"]["sluice"] == repodata["sluice"]
    assert _read_shards(read, shard_index["shards"]) == records
    return Index(repodata["sluice"]["generation"], records)


def _read_shards(read: Read, digests: dict[str, bytes]) -> Records:
    records: Records = {}
    for name, digest in digests.items():
        body = read(f"shards/{digest.hex()}.msgpack.zst")
        assert sha256(body).digest() == digest
        shard = msgpack.unpackb(one_frame(body))
        for filename, record in {**shard["packages"], **shard["packages.conda"]}.items():
            assert record["name"] == name
            records[filename] = {
                key: value.hex() if isinstance(value, bytes) else value
                for key, value in record.items()
                if key != "run_exports"  # CEP 21: in shards alone
            }
    return records
