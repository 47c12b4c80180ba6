"""A benchmark stops where the index does not hold what has happened."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import msgpack
import pytest
import zstandard

from benchmarks.published import INDEX_FILES, check

NEW = "pkg-1-0.conda"
DIGEST = sha256(b"new").hexdigest()


def files(in_repodata: dict[str, Any], in_shards: dict[str, Any]) -> dict[str, bytes]:
    """The files of a subdir."""
    compress = zstandard.ZstdCompressor().compress
    body = json.dumps({"packages.conda": in_repodata}).encode()
    packed = {name: bytes.fromhex(record["sha256"]) for name, record in in_shards.items()}
    shard = compress(
        msgpack.packb({"packages.conda": {n: {"sha256": d} for n, d in packed.items()}})
    )
    digest = sha256(shard).digest()
    index = {"info": {"shards_base_url": "./shards/"}, "shards": {"pkg": digest}}
    return {
        "repodata.json": body,
        "repodata.json.zst": compress(body),
        "repodata_shards.msgpack.zst": compress(msgpack.packb(index)),
        f"shards/{digest.hex()}.msgpack.zst": shard,
    }


GOOD = {NEW: {"sha256": DIGEST}}


def test_what_is_in_all_three_forms_is_published() -> None:
    made = files(GOOD, GOOD)
    sizes = check(made.__getitem__, GOOD)
    assert sizes == {name: len(made[name]) for name in INDEX_FILES}
    assert check(files({}, {}).__getitem__, {NEW: None})


@pytest.mark.parametrize(
    ("in_repodata", "in_shards", "expected", "told"),
    [
        ({}, GOOD, GOOD, "should be in repodata.json"),
        (GOOD, {}, GOOD, "should be in the shards"),
        (GOOD, {}, {NEW: None}, "should not be in repodata.json"),
        ({}, GOOD, {NEW: None}, "should not be in the shards"),
        ({NEW: {"sha256": "00"}}, GOOD, GOOD, "in repodata.json: sha256 is '00'"),
        (GOOD, {NEW: {"sha256": "00"}}, GOOD, "in the shards: sha256 is"),
    ],
)
def test_what_is_not_as_it_should_be_stops_the_benchmark(
    in_repodata: dict[str, Any], in_shards: dict[str, Any], expected: dict[str, Any], told: str
) -> None:
    with pytest.raises(RuntimeError, match=told):
        check(files(in_repodata, in_shards).__getitem__, expected)


def test_a_compressed_index_of_other_content_stops_the_benchmark() -> None:
    made = files(GOOD, GOOD)
    made["repodata.json.zst"] = files({}, {})["repodata.json.zst"]
    with pytest.raises(RuntimeError, match=r"repodata\.json\.zst is not repodata\.json"):
        check(made.__getitem__, GOOD)
