"""Operators undo things on a deployed stack: roll back, pin, remove, and look at the past."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.emulator import REGION
from sluice.cli.exits import Exit
from sluice.cli.main import run
from testkit.channel import Package, conda
from testkit.deployed import Channel
from tests.e2e.rattler_client import index_with_rattler, install, query, solve

STACK = "sluice"


def package(name: str, version: str = "1.0", **more: Any) -> Package:
    index = {
        "name": name,
        "version": version,
        "build": "h0_0",
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
        **more,
    }
    return conda(index, payload=f"{name} {version}".encode())


def upload_at_once(channel: Channel, packages: Sequence[Package]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(channel.upload, packages))


@pytest.fixture
def sluice(
    channel: Channel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Run a command of the command line, and read its answer."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", channel.deployed.stack.endpoint)
    monkeypatch.setenv("AWS_REGION", REGION)

    def command(*arguments: str) -> Any:
        capsys.readouterr()
        code = run([*arguments, "--stack", STACK, "--json"])
        printed = capsys.readouterr()
        assert code == Exit.OK, printed.err
        return json.loads(printed.out)

    return command


def test_a_bad_upload_of_20_packages_on_a_channel_of_2000_is_rolled_back(
    channel: Channel, sluice: Callable[..., Any], tmp_path: Path
) -> None:
    old = [package(f"old-{number % 400}", f"1.{number}") for number in range(2_000)]
    with channel.deployed.without_events():
        upload_at_once(channel, old)
        index_with_rattler(channel.deployed.stack.endpoint, channel.url)
    good = package("good")
    channel.upload(good)
    channel.wait_until_it_holds(*old, good)
    before = json.loads(channel.read("linux-64/repodata.json"))
    generation = before["sluice"]["generation"]

    bad = [package(f"old-{number}", "2.0") for number in range(19)] + [package("new", "2.0")]
    upload_at_once(channel, bad)
    channel.wait_until_it_holds(*old, good, *bad)
    address, to = f"{channel.url}/linux-64", str(generation)
    names = sorted(one.filename for one in bad)
    shown = sluice("rollback", address, "--to", to, "--dry-run")
    assert shown["generation"] is None
    done = sluice("rollback", address, "--to", to, "--reason", "Built with the wrong compiler.")
    for told in (shown, done):
        assert told["pinned"] == names
        assert [told[kind] for kind in ("restored", "gone", "changed", "waiting")] == [[]] * 4
    # The command has waited, and that was for one merge.
    after = json.loads(channel.read("linux-64/repodata.json"))
    assert after["sluice"]["generation"] == done["generation"]
    assert {key: after[key] for key in ("info", "packages", "packages.conda")} == {
        key: before[key] for key in ("info", "packages", "packages.conda")
    }
    assert after["removed"] == names
    for sharded in (True, False):
        found = query(channel, "old-3", tmp_path / str(sharded), sharded=sharded)
        assert {str(record.version) for record in found} == {
            f"1.{number}" for number in range(3, 2_000, 400)
        }
        assert query(channel, "new", tmp_path / str(sharded), sharded=sharded) == []

    channel.upload(bad[3])  # the very same bytes
    channel.wait_until_it_holds(*old, good, bad[3])
    pinned = sluice("pins", channel.url)
    assert [one["file"] for one in pinned] == sorted(set(names) - {bad[3].filename})
    assert {one["reason"].rpartition(" UTC. ")[2] for one in pinned} == {
        "Built with the wrong compiler."
    }
    sluice("unpin", channel.url, f"linux-64/{bad[0].filename}")
    channel.wait_until_it_holds(*old, good, bad[3], bad[0])


def whole_second() -> str:
    """A time before which everything was that is, and after which everything will be."""
    time.sleep(1)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    time.sleep(1)
    return now


@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_a_channel_as_it_was_is_solved_against_the_packages_where_they_are(
    channel: Channel, sluice: Callable[..., Any], tmp_path: Path, *, relative: bool
) -> None:
    helper = package("helper", subdir="noarch", noarch="generic")
    lib, lib_2 = package("lib", depends=["helper"]), package("lib", "2.0", depends=["helper"])
    app = package("app", depends=["lib"])
    channel.upload(helper, lib, app)
    channel.wait_until_it_holds(helper, lib, app)
    at = whole_second()
    channel.upload(lib_2)
    channel.wait_until_it_holds(helper, lib, app, lib_2)

    then = Channel(channel.deployed, f"{channel.name}-then")
    base_url = ["--base-url", f"../{channel.name.rpartition('/')[2]}"] if relative else []
    told = sluice(
        "snapshot",
        channel.url,
        *("--at", at, "--to", then.url),
        *base_url,
    )
    assert [(one["subdir"], one["packages"]) for one in told["subdirs"]] == [
        ("linux-64", 2),
        ("noarch", 1),
    ]
    files = {name: then.read(name) for name in then.files()}
    assert not [
        key
        for key in channel.deployed.keys(channel.deployed.stack.channel_bucket, then.prefix)
        if key.endswith(".conda")
    ]
    for sharded in (True, False):
        home = tmp_path / str(sharded)
        records = solve(then, "app", home, sharded=sharded)
        assert sorted(record.url for record in records) == sorted(
            f"{channel.url}/{one.path}" for one in (helper, lib, app)
        )
        prefix = install(channel, records, home)
        installed = {path.parent.name: path.read_text() for path in prefix.glob("share/*/data")}
        assert installed == {"helper": "helper 1.0", "lib": "lib 1.0", "app": "app 1.0"}
    now = solve(channel, "app", tmp_path / "now", sharded=True)
    assert f"{channel.url}/{lib_2.path}" in [record.url for record in now]

    report = channel.deployed.reconcile(channel=then.name)
    assert report["counts"]["subdirs"] == 0, "nothing takes it for a channel of ours"
    assert {name: then.read(name) for name in then.files()} == files


def test_no_client_finds_what_is_removed_in_the_index_and_not_in_the_bucket(
    channel: Channel, sluice: Callable[..., Any]
) -> None:
    kept, lost = package("kept"), package("lost")
    channel.upload(kept, lost)
    channel.wait_until_it_holds(kept, lost)
    looks: list[tuple[bool, bool]] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            indexed = (
                lost.filename
                in json.loads(channel.read("linux-64/repodata.json"))["packages.conda"]
            )
            found = channel.deployed.stack.s3.list_objects_v2(
                Bucket=channel.deployed.stack.channel_bucket, Prefix=channel.key(lost)
            )
            looks.append((indexed, "Contents" in found))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        (done,) = sluice("remove", channel.url, lost.filename, "--grace-seconds", "2")
        over.set()
        looking.result()
    assert done["deleted"] == [lost.filename]
    assert set(looks) <= {(True, True), (False, True), (False, False)}
    assert (False, True) in looks, "it was out of the index before it was out of the bucket"
    channel.wait_until_it_holds(kept)
    assert sluice("pins", channel.url) == []
    assert json.loads(channel.read("linux-64/repodata.json"))["removed"] == []
