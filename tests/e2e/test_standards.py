"""What the standards beyond plain indexes are for: py-rattler makes use of them, from ``s3://``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.layout import config_key
from testkit.channel import PATCHES, Package, conda, patch_package
from testkit.deployed import Channel
from testkit.eventually import eventually
from tests.e2e.rattler_client import query, solve

BOTH = pytest.mark.parametrize("sharded", [True, False], ids=["shards", "repodata.json"])


def index_of(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "build": "h0_0",
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
        **more,
    }


RUN_EXPORTS = {"weak": ["lib >=2"]}
LIB = conda(index_of("lib", "2.0"), run_exports=RUN_EXPORTS)
APP = conda(index_of("app", depends=["lib"]))
CONDITIONAL = conda(index_of("conditional", depends=['lib[when="__unix"]'], schema_version=3))


def patch(version: str, *depends: str) -> Package:
    told = {"packages.conda": {APP.filename: {"depends": list(depends)}}}
    return patch_package(version, {"linux-64": told})


def configure(channel: Channel, text: str) -> None:
    stack = channel.deployed.stack
    stack.s3.put_object(
        Bucket=stack.channel_bucket, Key=config_key(channel.name), Body=text.encode()
    )


def wait_for(channel: Channel, path: str, condition: Callable[[Any], bool]) -> Any:
    """Wait until a document is there that is as it should be, and then for all to be quiet."""
    stack = channel.deployed.stack

    def document() -> Any:
        body = channel.deployed.get(stack.channel_bucket, channel.prefix + path)
        return body and json.loads(body)

    found = eventually(
        document,
        lambda document: bool(document) and condition(document),
        what=f"{path} of {channel.name!r} is as it should be",
        explain=channel.describe,
        seconds_max=channel.deployed.seconds_max,
    )
    channel.deployed.wait_until_quiet()
    return found


@pytest.fixture(scope="module")
def library(make_channel: Callable[[str], Channel]) -> Channel:
    channel = make_channel("Conda/Library")
    channel.upload(LIB)
    channel.wait_until_it_holds(LIB)
    return channel


def test_the_gateway_reads_run_exports_from_shards(library: Channel, tmp_path: Path) -> None:
    (record,) = query(library, "lib", tmp_path, sharded=True)
    assert json.loads(record.to_json())["run_exports"] == RUN_EXPORTS


def test_run_exports_json_has_the_same(library: Channel) -> None:
    document = json.loads(library.read("linux-64/run_exports.json"))
    assert document["packages.conda"] == {LIB.filename: {"run_exports": RUN_EXPORTS}}


@BOTH
def test_a_solve_follows_the_relations_that_a_channel_was_given(
    library: Channel, make_channel: Callable[[str], Channel], tmp_path: Path, *, sharded: bool
) -> None:
    channel = make_channel(f"Conda/Related-{sharded}")
    channel.upload(APP)
    channel.wait_until_it_holds(APP)
    configure(channel, '[index-config]\nchannel-relations = { base = "../Library" }\n')
    wait_for(
        channel, "linux-64/repodata.json", lambda document: "channel_relations" in document["info"]
    )
    records = solve(channel, "app", tmp_path, sharded=sharded)
    assert sorted(record.url for record in records) == [
        f"{library.url}/{LIB.path}",
        f"{channel.url}/{APP.path}",
    ]


@BOTH
def test_the_gateway_sees_records_of_revision_3(
    make_channel: Callable[[str], Channel], tmp_path: Path, *, sharded: bool
) -> None:
    channel = make_channel(f"Conda/Modern-{sharded}")
    channel.upload(CONDITIONAL)
    document = wait_for(channel, "linux-64/repodata.json", lambda document: "v3" in document)
    assert document["packages.conda"] == {}
    (record,) = query(channel, "conditional", tmp_path, sharded=sharded)
    assert (record.file_name, record.depends) == (CONDITIONAL.filename, ['lib[when="__unix"]'])


def test_a_patch_is_honoured_as_soon_as_it_is_uploaded_and_until_it_is_removed(
    channel: Channel, tmp_path: Path
) -> None:
    first, second = patch("1.9", "lib <2"), patch("1.10", "lib >=2")
    seen: list[list[str]] = []

    def depends(document: Any) -> list[str]:
        found: list[str] = document["packages.conda"][APP.filename]["depends"]
        return found

    def look(*expected: str) -> None:
        wait_for(channel, "linux-64/repodata.json", lambda found: depends(found) == list(expected))
        for sharded in (True, False):
            home = tmp_path / f"{len(seen)}-{sharded}"
            (record,) = query(channel, "app", home, sharded=sharded)
            seen.append(record.depends)

    channel.upload(APP)
    channel.wait_until_it_holds(APP)
    configure(channel, f'[sluice]\npatches = "{PATCHES}"\n')
    channel.upload(first)
    look("lib <2")
    channel.upload(second)
    look("lib >=2")
    channel.delete(second)
    look("lib <2")
    channel.delete(first)
    look("lib")
    assert seen == [["lib <2"]] * 2 + [["lib >=2"]] * 2 + [["lib <2"]] * 2 + [["lib"]] * 2
