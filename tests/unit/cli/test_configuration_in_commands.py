"""What the commands say of a channel's configuration: that it changed, or cannot be used."""

from __future__ import annotations

import pytest

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.cli.exits import Exit
from sluice.layout import SLUICE_TOML
from tests.support.standalone_channel import CHANNEL, StandaloneChannel, package
from tests.unit.cli.conftest import Call, caller

ADDRESS = f"s3://channel-bucket/{CHANNEL}"
UNUSABLE = "sluice.toml is invalid: page must be true or false, not a string."


@pytest.fixture
def world() -> StandaloneChannel:
    world = StandaloneChannel()
    world.upload(package("alpha"), package("pure", subdir="noarch"))
    return world


@pytest.fixture
def sluice(
    world: StandaloneChannel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    def channel(_opener: Opener, _address: Address, *, name: str | None = None) -> Channel:
        del name
        world.tick()
        return world.channel

    monkeypatch.setattr(Opener, "channel", channel)
    monkeypatch.setattr(Aws, "bucket", lambda _aws, _name: world.public)
    return caller(monkeypatch, capsys)


def configure(world: StandaloneChannel, text: str | None) -> None:
    key = f"{CHANNEL}/{SLUICE_TOML}"
    world.tick()
    if text is None:
        world.public.remove(key)
    else:
        world.public.upload(key, text.encode())


def entries(out: str) -> list[str]:
    """The titles of the log, without their times."""
    titles = [line for line in out.splitlines() if line and line[0] != " "]
    return [" ".join([title.split("  ")[0], title.split("  ")[2]]) for title in titles]


def test_index_says_each_time_that_a_configuration_cannot_be_used(
    sluice: Call, world: StandaloneChannel
) -> None:
    configure(world, '[sluice]\npage = "yes"\n')
    for arguments in ([], [], ["--subdir", "linux-64"]):
        answer = sluice("index", ADDRESS, *arguments)
        assert answer.code == Exit.ISSUES_FOUND
        assert UNUSABLE in answer.out
    assert UNUSABLE in sluice("index", ADDRESS, "--json").json["problems"][0]
    configure(world, "[sluice]\npage = false\n")
    answer = sluice("index", ADDRESS)
    assert (answer.code, "cannot be used" in answer.out) == (Exit.OK, False)
    assert sluice("index", ADDRESS, "--json").json["problems"] == []


def test_the_log_shows_a_configuration_that_changes_and_one_that_is_refused(
    sluice: Call, world: StandaloneChannel
) -> None:
    sluice("index", ADDRESS)
    configure(world, "[sluice]\nrun-exports = true\nrss = true\n")
    sluice("index", ADDRESS)
    log = sluice("log", ADDRESS, "-n", "2").out
    assert sorted(entries(log)) == [
        "linux-64 2 configuration changed",
        "noarch 3 configuration changed",
    ]
    assert "  sluice.toml added: changed rss, run-exports" in log

    configure(world, '[sluice]\npage = "yes"\n')
    sluice("index", ADDRESS)
    log = sluice("log", ADDRESS, "-n", "2").out
    assert sorted(entries(log)) == [
        "linux-64 3 configuration read again",
        "noarch 4 configuration or patch rejected",
    ]
    assert f"  ! {UNUSABLE}" in log
    assert "  sluice.toml changed: no setting changed" in log

    configure(world, None)
    sluice("index", ADDRESS)
    log = sluice("log", ADDRESS, "-n", "2").out
    assert "  sluice.toml removed: changed rss, run-exports" in log
    changes = sluice("log", ADDRESS, "-n", "1", "--json").json["generations"][0]["commit"]["inputs"]
    assert (changes["config"], changes["settings"]) == ("removed", ["rss", "run-exports"])


def test_the_log_shows_a_configuration_beside_the_packages_of_its_generation(
    sluice: Call, world: StandaloneChannel
) -> None:
    sluice("index", ADDRESS)
    configure(world, "[index-config]\nnotices = []\n")
    world.upload(package("beta"))
    sluice("index", ADDRESS, "--subdir", "linux-64")
    log = sluice("log", f"{ADDRESS}/linux-64", "-n", "3").out
    assert "  sluice.toml added: changed notices" in log
    assert "  + beta-1.0-0.conda" in log


def test_an_index_without_a_configuration_says_nothing_of_one(
    sluice: Call, world: StandaloneChannel
) -> None:
    sluice("index", ADDRESS)
    world.upload(package("beta"))
    sluice("index", ADDRESS)
    assert "sluice.toml" not in sluice("log", ADDRESS).out


def test_a_status_does_not_call_published_what_has_no_file(
    sluice: Call, world: StandaloneChannel
) -> None:
    world.public.upload(f"{CHANNEL}/win-64/bad-1.0-0.conda", b"no zip")
    sluice("index", ADDRESS)
    answer = sluice("status", ADDRESS)
    (line,) = [line for line in answer.out.splitlines() if line.startswith("win-64")]
    assert "not published: no package yet" in line
    (win,) = [
        one for one in sluice("status", ADDRESS, "--json").json["subdirs"] if not one["public"]
    ]
    assert (win["subdir"], win["rejects"], win["index_bytes"]) == ("win-64", 1, 0)
