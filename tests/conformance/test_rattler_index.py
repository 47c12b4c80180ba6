"""The same packages, indexed by sluice and by rattler-index: the same index, but for a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import pytest

from testkit.zstd import one_frame
from tests.conformance import accepted, corpus
from tests.conformance.accepted import Accepted, Difference, differences, unexplained
from tests.conformance.indexed_channel import index_with_rattler, index_with_sluice

Files = Mapping[str, bytes]
NO_DIFFERENCE: list[Difference] = []


class BothSides(NamedTuple):
    """The published files of one channel, by path."""

    ours: Files
    theirs: Files


@pytest.fixture(
    scope="module",
    params=[
        corpus.generated,
        pytest.param(
            corpus.real,
            marks=pytest.mark.skipif(
                not corpus.SHARED.is_dir(), reason=f"there is no {corpus.SHARED.name} beside us"
            ),
        ),
    ],
    ids=["generated", "real"],
)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BothSides:
    packages = request.param()
    folder: Path = tmp_path_factory.mktemp("rattler") / "channel"
    return BothSides(index_with_sluice(packages), index_with_rattler(packages, folder))


def test_the_same_files_are_published(both: BothSides) -> None:
    def kinds(files: Files) -> list[str]:
        return sorted(path.partition("shards/")[0] for path in files)

    assert kinds(both.ours) == kinds(both.theirs)


def test_repodata_json_differs_only_as_accepted(both: BothSides) -> None:
    for path in _named(both.ours, "repodata.json"):
        ours, theirs = json.loads(both.ours[path]), json.loads(both.theirs[path])
        _expect_alike(ours, theirs, accepted.REPODATA, accepted.RECORD)


def test_repodata_json_zst_is_one_frame_of_the_same_bytes_as_repodata_json(
    both: BothSides,
) -> None:
    for path in _named(both.ours, "repodata.json"):
        assert one_frame(both.ours[f"{path}.zst"]) == both.ours[path]


def test_the_shard_index_differs_only_as_accepted(both: BothSides) -> None:
    for path in _named(both.ours, "repodata_shards.msgpack.zst"):
        ours, theirs = _unpack(both.ours[path]), _unpack(both.theirs[path])
        assert ours.pop("shards").keys() == theirs.pop("shards").keys()
        assert unexplained(accepted.SHARD_INDEX, differences(ours, theirs)) == NO_DIFFERENCE


def test_every_shard_differs_only_as_accepted(both: BothSides) -> None:
    for path in _named(both.ours, "repodata_shards.msgpack.zst"):
        ours, theirs = _shards(both.ours, path), _shards(both.theirs, path)
        for name in ours:
            _expect_alike(ours[name], theirs[name], accepted.SHARD, accepted.RECORD_OF_SHARD)


def test_every_accepted_difference_is_there(tmp_path: Path) -> None:
    """A rule that nothing needs any more would hide the next difference."""
    packages = corpus.generated()
    ours, theirs = index_with_sluice(packages), index_with_rattler(packages, tmp_path / "channel")
    found: dict[str, list[Difference]] = {"record": [], "repodata": [], "shard": [], "index": []}
    for path in _named(ours, "repodata.json"):
        frames, records = _split(json.loads(ours[path]), json.loads(theirs[path]))
        found["repodata"] += frames
        found["record"] += records
    for path in _named(ours, "repodata_shards.msgpack.zst"):
        found["index"] += differences(_unpack(ours[path]), _unpack(theirs[path]))
        our_shards, their_shards = _shards(ours, path), _shards(theirs, path)
        for name in our_shards:
            frames, records = _split(our_shards[name], their_shards[name])
            found["shard"] += frames
            found["record"] += records
    tables = {
        "record": accepted.RECORD_OF_SHARD,
        "repodata": accepted.REPODATA,
        "shard": accepted.SHARD,
        "index": accepted.SHARD_INDEX,
    }
    unused = [
        rule
        for kind, rules in tables.items()
        for rule in rules
        if not any(rule.covers(one) for one in found[kind])
    ]
    assert unused == []


def _expect_alike(
    ours: Any, theirs: Any, about_all: tuple[Accepted, ...], about_records: tuple[Accepted, ...]
) -> None:
    frames, records = _split(ours, theirs)
    assert unexplained(about_all, frames) == NO_DIFFERENCE
    assert unexplained(about_records, records) == NO_DIFFERENCE


def _split(ours: Any, theirs: Any) -> tuple[list[Difference], list[Difference]]:
    """Compare all but the records (filenames included), and the records by themselves."""
    frames = differences(_without_records(ours), _without_records(theirs))
    records = (
        one
        for packages in ("packages", "packages.conda")
        for filename in ours[packages]
        for one in differences(ours[packages][filename], theirs[packages][filename])
    )
    return list(frames), list(records)


def _without_records(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: sorted(value) if key in ("packages", "packages.conda") else value
        for key, value in document.items()
    }


def _shards(files: Files, index_path: str) -> dict[str, Any]:
    """The content of each shard by package name, found as a client finds it."""
    index = _unpack(files[index_path])
    folder = index_path.rpartition("/")[0] + index["info"]["shards_base_url"].removeprefix(".")
    return {
        name: _unpack(files[f"{folder}{digest.hex()}.msgpack.zst"])
        for name, digest in index["shards"].items()
    }


def _named(files: Files, name: str) -> list[str]:
    found = sorted(path for path in files if path.endswith(f"/{name}"))
    assert found
    return found


def _unpack(body: bytes) -> Any:
    return msgpack.unpackb(one_frame(body))
