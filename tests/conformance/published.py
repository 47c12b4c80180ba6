"""What one indexer published, as the tests of conformance read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from testkit.zstd import one_frame

Records = dict[str, dict[str, Any]]
"""By filename."""


@dataclass(frozen=True, slots=True)
class Published:
    """Files by path.  Asking for one that is not there raises ``KeyError``."""

    files: Mapping[str, bytes]

    def json(self, path: str) -> Any:
        return json.loads(self.files[path])

    def repodata(self, subdir: str = "linux-64") -> dict[str, Any]:
        document: dict[str, Any] = self.json(f"{subdir}/repodata.json")
        return document

    def info(self, subdir: str = "linux-64") -> dict[str, Any]:
        found: dict[str, Any] = self.repodata(subdir)["info"]
        return found

    def records(self, file: str = "repodata.json", subdir: str = "linux-64") -> Records:
        return records_of(self.json(f"{subdir}/{file}"))

    def shard_index(
        self, subdir: str = "linux-64", file: str = "repodata_shards.msgpack.zst"
    ) -> dict[str, Any]:
        body = self.files[f"{subdir}/{file}"]
        index: dict[str, Any] = msgpack.unpackb(one_frame(body))
        return index

    def shards(self, subdir: str = "linux-64") -> dict[str, dict[str, Any]]:
        """The content of each shard, by package name, digests in hex as in ``repodata.json``."""
        index = self.shard_index(subdir)
        folder = f"{subdir}/{index['info']['shards_base_url'].removeprefix('./')}"
        return {
            name: _in_hex(
                msgpack.unpackb(one_frame(self.files[f"{folder}{digest.hex()}.msgpack.zst"]))
            )
            for name, digest in index["shards"].items()
        }

    def sharded_records(self, subdir: str = "linux-64") -> Records:
        return {
            filename: record
            for shard in self.shards(subdir).values()
            for filename, record in records_of(shard).items()
        }


def records_of(document: Mapping[str, Any]) -> Records:
    """The records of an index, or of a shard, that every client reads."""
    return {**document["packages"], **document["packages.conda"]}


def _in_hex(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_hex(inner) for key, inner in value.items()}
    return value.hex() if isinstance(value, bytes) else value
