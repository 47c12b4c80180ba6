"""What packages say in an odd form, in every file that clients read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgpack
import pytest

from sluice.layout import (
    CURRENT_REPODATA,
    FROM_PACKAGES,
    REPODATA,
    RUN_EXPORTS,
    SHARD_INDEX,
    SLUICE_TOML,
    Subdir,
)
from sluice.limits import RUN_EXPORTS_JSON_BYTES_MAX
from testkit.channel import PATCHES, Package, conda, patch_package, tar_bz2
from testkit.system import System
from tests.support.staging_records import START_MS
from tests.support.subdir_world import foreign_repodata, unzstd

SUBDIR = Subdir("team", "linux-64")
INDEX: Mapping[str, Any] = {
    "name": "odd",
    "version": "1.0",
    "build": "0",
    "build_number": 0,
    "subdir": SUBDIR.name,
}
CONFIG = (
    f'[sluice]\nrun-exports = true\ncurrent-repodata = true\npatches = "{PATCHES}"\n'
    '[index-config]\nrepodata-revisions = ["v3"]\n'
)
Build = Callable[..., Package]
BUILDS = pytest.mark.parametrize("build", [conda, tar_bz2])


def published(*packages: Package, config: str = CONFIG) -> System:
    """A channel of these packages and a patch, with every index file."""
    system = System(START_MS)
    system.upload({f"{SUBDIR.channel}/{SLUICE_TOML}": config.encode()})
    patch = patch_package("1", {SUBDIR.name: {"patch_instructions_version": 1}})
    for package in [patch, *packages]:
        key = f"{SUBDIR.channel}/{package.path}"
        system.upload({key: package.body})
        system.notify(key)
        system.run_until_idle()
    return system


def shards(system: System) -> Iterator[Mapping[str, Any]]:
    index = msgpack.unpackb(unzstd(system.body(SUBDIR, SHARD_INDEX)))
    for digest in index["shards"].values():
        yield msgpack.unpackb(unzstd(system.channel.body(SUBDIR.shard_key(digest.hex()))))


def records_of(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key in ("packages", "packages.conda"):
        yield from document[key].items()
    for archive, records in document.get("v3", {}).items():
        yield from ((f"{stem}.{archive}", record) for stem, record in records.items())


def records(system: System, filename: str) -> list[Mapping[str, Any]]:
    """The records of a file, in each index file that there is."""
    documents = [
        json.loads(system.body(SUBDIR, file))
        for file in (REPODATA, CURRENT_REPODATA, FROM_PACKAGES)
    ]
    every = [dict(records_of(document)).get(filename) for document in [*documents, *shards(system)]]
    found = [record for record in every if record is not None]
    assert len(found) == 4
    return found


@BUILDS
@pytest.mark.parametrize("config", [CONFIG, f'{CONFIG}package-revision-assignment = "latest"\n'])
@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (["a", "b"], "a b"),
        (["a"], "a"),
        (["a", ""], "a"),
        ([], None),
        ([""], None),
        ("a b", "a b"),
        ("a,b", "a,b"),
        (None, None),
    ],
)
def test_track_features_are_a_string_everywhere(
    build: Build, config: str, stated: object, expected: str | None
) -> None:
    package = build({**INDEX, "track_features": stated})
    found = records(published(package, config=config), package.filename)
    assert [record.get("track_features") for record in found] == [expected] * 4
    assert all(("track_features" in record) == (expected is not None) for record in found)


def test_track_features_of_an_index_that_was_taken_over_are_a_string_too() -> None:
    system = System(START_MS)
    package = conda(INDEX)
    other = conda({**INDEX, "name": "other"})
    for one in (package, other):
        system.upload({f"{SUBDIR.channel}/{one.path}": one.body})
    record = {**INDEX, "depends": [], "track_features": ["a", "b"], "size": len(package.body)}
    index = foreign_repodata({package.filename: record}, subdir=SUBDIR.name)
    system.upload({SUBDIR.file_key(REPODATA): json.dumps(index).encode()})
    system.notify(f"{SUBDIR.channel}/{other.path}")
    system.run_until_idle()
    repodata = dict(records_of(json.loads(system.body(SUBDIR, REPODATA))))
    of_shards = dict(pair for shard in shards(system) for pair in records_of(shard))
    for by_filename in (repodata, of_shards):
        assert by_filename[package.filename]["track_features"] == "a b"


UNREADABLE = [
    {"info/run_exports.json": b'{"weak": "x >=1"}'},
    {"info/run_exports.json": b'{"weak": ["x >=1", null]}'},
    {"info/run_exports.json": b'{"weak": ["x >=1"], "schema_version": 0}'},
    {"info/run_exports.json": b'{"weak": ["x >=1"], "schema_version": 300}'},
    {"info/run_exports.json": b'["x >=1", "%s"]' % (b"y" * RUN_EXPORTS_JSON_BYTES_MAX)},
    {"info/run_exports.json": b"weak: [x]"},
    {"info/run_exports.yaml": b"weak: [x]"},
    {"info/run_exports": b"x >=1"},
]


def run_exports(system: System, filename: str) -> list[object]:
    """What shards and ``run_exports.json`` say of a file; ``None``: nothing."""
    listed = dict(records_of(json.loads(system.body(SUBDIR, RUN_EXPORTS))))
    of_shards = dict(pair for shard in shards(system) for pair in records_of(shard))
    return [where.get(filename, {}).get("run_exports") for where in (of_shards, listed)]


def document(system: System) -> Mapping[str, Any]:
    read: Mapping[str, Any] = json.loads(system.state.body(SUBDIR.rejects_key))
    return read


@BUILDS
@pytest.mark.parametrize("info", UNREADABLE, ids=lambda info: str(info)[:60])
def test_run_exports_that_cannot_be_read_are_left_out_and_warned_of(
    build: Build, info: Mapping[str, bytes]
) -> None:
    package = build(INDEX, info=info)
    system = published(package)
    assert run_exports(system, package.filename) == [None, None]
    told = document(system)
    (warning,) = told["warnings"]
    assert (warning["filename"], warning["code"]) == (package.filename, "run-exports-unreadable")
    assert package.filename in warning["sentence"]
    assert "reject" not in warning["sentence"]
    assert told["rejects"] == []


@BUILDS
@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, {}),
        ({"info/run_exports.json": b"{}"}, {}),
        ({"info/run_exports.json": b'["x >=1"]'}, {"weak": ["x >=1"]}),
        ({"info/run_exports.json": b'\xef\xbb\xbf{"weak": ["x"]}'}, {"weak": ["x"]}),
        (
            {"info/run_exports.json": b'{"weak": ["x >=1"], "strong": null}'},
            {"weak": ["x >=1"]},
        ),
    ],
)
def test_run_exports_that_can_be_read_are_published_without_a_warning(
    build: Build, info: Mapping[str, bytes], expected: Mapping[str, Any]
) -> None:
    package = build(INDEX, info=info)
    system = published(package)
    assert run_exports(system, package.filename) == [expected, expected]
    assert not system.state.keys(SUBDIR.rejects_key)


def test_a_warning_ends_when_a_package_that_can_be_read_replaces_it() -> None:
    bad, good = (conda(INDEX, info=info) for info in (UNREADABLE[0], {}))
    system = published(bad, good)
    assert run_exports(system, good.filename) == [{}, {}]
    assert document(system)["warnings"] == []
