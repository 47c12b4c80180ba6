"""What clients make of our index: the layout that CEP 16 fixes, and py-rattler's own opinion."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgpack
import pytest
from rattler import Channel, Gateway, RepoDataRecord, SourceConfig, solve
from rattler.platform import SubdirLiteral

from sluice.conda.names import NOARCH
from testkit.web import Site, served
from testkit.zstd import one_frame
from tests.conformance import accepted, corpus
from tests.conformance.accepted import differences, unexplained
from tests.conformance.indexed_channel import (
    MERGED_MS,
    index_with_rattler,
    index_with_sluice,
    write_channel,
)

PLATFORMS: tuple[SubdirLiteral, ...] = ("linux-64", "noarch")


@pytest.fixture(scope="module")
def ours() -> Mapping[str, bytes]:
    return index_with_sluice(corpus.generated())


class Sites(NamedTuple):
    ours: Site
    theirs: Site


@pytest.fixture(scope="module")
def sites(ours: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    folder: Path = tmp_path_factory.mktemp("channels")
    index_with_rattler(corpus.generated(), folder / "theirs")
    write_channel(ours, folder / "ours")
    with served(folder / "ours") as our_site, served(folder / "theirs") as their_site:
        yield Sites(our_site, their_site)


def test_the_shard_index_is_as_cep_16_says(ours: Mapping[str, bytes]) -> None:
    for subdir in PLATFORMS:
        index = msgpack.unpackb(one_frame(ours[f"{subdir}/repodata_shards.msgpack.zst"]))
        assert index.keys() == {"version", "info", "shards"}
        assert index["version"] == 1
        created_at = index["info"].pop("created_at")
        stamp = index["info"].pop("sluice")
        assert index["info"] == {"subdir": subdir, "base_url": "", "shards_base_url": "./shards/"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", created_at)
        assert datetime.fromisoformat(created_at).timestamp() * 1000 in MERGED_MS
        # noarch was created, and empty, with the first index of the channel.
        assert stamp["generation"] == (2 if subdir == NOARCH else 1)
        assert all(type(name) is str for name in index["shards"])
        assert all(type(d) is bytes and len(d) == 32 for d in index["shards"].values())


def test_every_shard_is_named_by_its_hash_and_as_cep_16_says(ours: Mapping[str, bytes]) -> None:
    for subdir in PLATFORMS:
        index = msgpack.unpackb(one_frame(ours[f"{subdir}/repodata_shards.msgpack.zst"]))
        for name, digest in index["shards"].items():
            body = ours[f"{subdir}/shards/{digest.hex()}.msgpack.zst"]
            assert sha256(body).digest() == digest
            shard = msgpack.unpackb(one_frame(body))
            assert {key: type(value) for key, value in shard.items()} == {
                "packages": dict,
                "packages.conda": dict,
                "removed": list,
                "at": int,
            }
            for record in [*shard["packages"].values(), *shard["packages.conda"].values()]:
                assert record["name"] == name
                assert type(record["sha256"]) is bytes
                assert len(record["sha256"]) == 32
                assert type(record["md5"]) is bytes
                assert len(record["md5"]) == 16


def test_no_shard_is_published_that_the_index_does_not_name(ours: Mapping[str, bytes]) -> None:
    for subdir in PLATFORMS:
        index = msgpack.unpackb(one_frame(ours[f"{subdir}/repodata_shards.msgpack.zst"]))
        named = {f"{subdir}/shards/{d.hex()}.msgpack.zst" for d in index["shards"].values()}
        assert {path for path in ours if path.startswith(f"{subdir}/shards/")} == named


def test_shards_hold_the_records_of_repodata_json(ours: Mapping[str, bytes]) -> None:
    for subdir in PLATFORMS:
        repodata = json.loads(ours[f"{subdir}/repodata.json"])
        index = msgpack.unpackb(one_frame(ours[f"{subdir}/repodata_shards.msgpack.zst"]))
        found: dict[str, dict[str, Any]] = {"packages": {}, "packages.conda": {}}
        for digest in index["shards"].values():
            shard = msgpack.unpackb(one_frame(ours[f"{subdir}/shards/{digest.hex()}.msgpack.zst"]))
            for packages, records in found.items():
                records.update(_with_hex_digests(shard[packages]))
        # CEP 21: in repodata.json they would only make it larger, and have a file of their own.
        exports = [record.pop("run_exports") for kind in found.values() for record in kind.values()]
        assert exports == [{}] * len(exports)
        assert found == {packages: repodata[packages] for packages in found}


def test_a_channel_of_one_arch_package_has_an_empty_noarch() -> None:
    package = next(p for p in corpus.generated() if p.subdir == "linux-64")
    files = index_with_sluice([package])
    repodata = json.loads(files["noarch/repodata.json"])
    assert repodata["info"] == {"subdir": "noarch"}
    assert repodata["packages"] == {}
    assert repodata["packages.conda"] == {}
    assert msgpack.unpackb(one_frame(files["noarch/repodata_shards.msgpack.zst"]))["shards"] == {}


@pytest.mark.parametrize("sharded", [True, False], ids=["shards", "repodata.json"])
def test_py_rattler_reads_the_same_records_from_both_indexes(
    sites: Sites, tmp_path: Path, *, sharded: bool
) -> None:
    sites.ours.answered.clear()
    ours, theirs = _with_both(sites, tmp_path, _all_records, sharded=sharded)
    assert ours.keys() == theirs.keys()
    # py-rattler leaves a .tar.bz2 out where there is a .conda of the same name.
    assert ours.keys() >= {f"/{p.path}" for p in corpus.generated() if p.path.endswith(".conda")}
    rules = accepted.RECORD_OF_SHARD if sharded else accepted.RECORD
    for path in ours:
        assert unexplained(rules, differences(ours[path], theirs[path])) == []
    kinds = {re.sub(r"[0-9a-f]{64}", "<hash>", path) for path in sites.ours.answered}
    wanted = (
        {"repodata_shards.msgpack.zst", "shards/<hash>.msgpack.zst"}
        if sharded
        else {"repodata.json.zst"}
    )
    assert {kind.split("/", 2)[2] for kind in kinds} == wanted


@pytest.mark.parametrize("sharded", [True, False], ids=["shards", "repodata.json"])
def test_a_solve_gives_the_same_on_both_indexes(
    sites: Sites, tmp_path: Path, *, sharded: bool
) -> None:
    ours, theirs = _with_both(sites, tmp_path, _solution, sharded=sharded)
    assert ours == theirs
    assert ours == [
        "app-1.0-h0_0.conda",
        "helper-1.0-h0_0.conda",
        "lib-2.0-h0_0.conda",
        "python-3.12.1-h0_0_cpython.conda",
        "python_abi-3.12-5_cp312.conda",
    ]


def _with_both(
    sites: Sites, cache: Path, look: Callable[[Gateway, Channel], Any], *, sharded: bool
) -> tuple[Any, Any]:
    config = SourceConfig(sharded_enabled=sharded)
    results = []
    for name, site in (("ours", sites.ours), ("theirs", sites.theirs)):
        gateway = Gateway(cache_dir=cache / name, default_config=config)
        results.append(look(gateway, Channel(site.url)))
    return results[0], results[1]


def _all_records(gateway: Gateway, channel: Channel) -> dict[str, dict[str, Any]]:
    names = sorted({package.filename.rsplit("-", 2)[0] for package in corpus.generated()})

    async def query() -> list[list[RepoDataRecord]]:
        return list(await gateway.query([channel], PLATFORMS, names, recursive=False))

    return {
        urlsplit(record.url).path: _understood(record)
        for records in asyncio.run(query())
        for record in records
    }


def _understood(record: RepoDataRecord) -> dict[str, Any]:
    """A record as py-rattler parsed it, without what only says where it came from."""
    parsed: dict[str, Any] = json.loads(record.to_json())
    return {key: value for key, value in parsed.items() if key not in ("url", "channel")}


def _solution(gateway: Gateway, channel: Channel) -> list[str]:
    solved = asyncio.run(solve([channel], ["app"], gateway=gateway, platforms=PLATFORMS))
    return sorted(record.file_name for record in solved)


def _with_hex_digests(records: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        filename: {
            key: value.hex() if isinstance(value, bytes) else value for key, value in record.items()
        }
        for filename, record in records.items()
    }
