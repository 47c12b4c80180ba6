"""py-rattler solves from ``s3://`` and installs, from our indexes and from those taken over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from testkit.channel import conda, index_of, tar_bz2
from testkit.deployed import Channel
from tests.e2e.rattler_client import index_with_rattler, install, solve

HELPER = conda(index_of("helper", subdir="noarch", noarch="generic"), payload=b"helper 1.0")
LIB = tar_bz2(index_of("lib", depends=["helper"]), payload=b"lib 1.0")
LIB_2 = conda(index_of("lib", "2.0+cpu", depends=["helper"]), payload=b"lib 2.0")
APP = conda(index_of("app", depends=["lib >=1.5"]), payload=b"app 1.0")
PACKAGES = (HELPER, LIB, LIB_2, APP)
OLD = tuple(
    conda(index_of(f"old-{number % 20}", f"1.{number}", depends=["helper"])) for number in range(49)
)


@pytest.fixture(scope="module")
def uploaded(make_channel: Callable[[str], Channel]) -> Channel:
    channel = make_channel("Conda/Clients")
    channel.upload(*PACKAGES)
    channel.wait_until_it_holds(*PACKAGES)
    return channel


@pytest.mark.parametrize("sharded", [True, False], ids=["shards", "repodata.json"])
def test_a_client_installs_what_was_uploaded(
    uploaded: Channel, tmp_path: Path, *, sharded: bool
) -> None:
    records = solve(uploaded, "app", tmp_path, sharded=sharded)
    assert sorted(record.url for record in records) == sorted(
        f"{uploaded.url}/{package.path}" for package in (HELPER, LIB_2, APP)
    )
    prefix = install(uploaded, records, tmp_path)
    installed = {path.parent.name: path.read_bytes() for path in prefix.glob("share/*/data")}
    assert installed == {"helper": b"helper 1.0", "lib": b"lib 2.0", "app": b"app 1.0"}


def test_an_index_that_was_there_before_is_added_to(channel: Channel, tmp_path: Path) -> None:
    with channel.deployed.without_events():
        channel.upload(HELPER, *OLD)
        index_with_rattler(channel.deployed.stack.endpoint, channel.url)
    before = {
        subdir: json.loads(channel.read(f"{subdir}/repodata.json"))
        for subdir in ("linux-64", "noarch")
    }
    assert len(before["linux-64"]["packages.conda"]) == len(OLD)
    added = conda(index_of("added", depends=["old-7 ==1.47"]))
    channel.upload(added)
    records = channel.wait_until_it_holds(HELPER, *OLD, added)["linux-64"].records
    ours = records.pop(added.filename)
    assert records == before["linux-64"]["packages.conda"]
    assert ours["indexed_timestamp"] > max(old["indexed_timestamp"] for old in records.values())
    for sharded in (True, False):
        solved = solve(channel, "added", tmp_path / str(sharded), sharded=sharded)
        assert sorted(record.file_name for record in solved) == [
            "added-1.0-h0_0.conda",
            "helper-1.0-h0_0.conda",
            "old-7-1.47-h0_0.conda",
        ]
