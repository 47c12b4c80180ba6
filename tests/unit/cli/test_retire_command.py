"""``sluice retire``: it shows what goes, and asks."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from sluice.admin.session.address import Address
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.cli.exits import Exit
from tests.support.standalone_channel import CHANNEL, StandaloneChannel, package
from tests.unit.cli.conftest import Call, caller

ADDRESS = f"s3://channel-bucket/{CHANNEL}"


@pytest.fixture
def world() -> StandaloneChannel:
    world = StandaloneChannel()
    world.upload(package("alpha"))
    world.index()
    return world


@pytest.fixture
def sluice(
    world: StandaloneChannel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    def channel(_opener: Opener, address: Address, *, name: str | None = None) -> Channel:
        world.tick()
        return replace(world.channel, name=address.path if name is None else name)

    monkeypatch.setattr(Opener, "channel", channel)
    return caller(monkeypatch, capsys)


def empty(world: StandaloneChannel) -> None:
    world.public.remove(f"{CHANNEL}/{package('alpha').path}")
    world.index()


def answer_with(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _question: text)


def test_a_channel_with_packages_is_not_retired(sluice: Call) -> None:
    answer = sluice("retire", ADDRESS, "--yes")
    assert answer.code == Exit.FAILED
    assert "has packages" in answer.err
    assert "alpha-1.0-0.conda" in answer.err


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_where_nobody_can_be_asked_it_takes_yes(
    sluice: Call, world: StandaloneChannel, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    empty(world)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    before = dict(world.public.objects), dict(world.state.objects)
    answer = sluice("retire", ADDRESS, *more)
    assert answer.code == Exit.USAGE_ERROR
    assert "add --yes" in answer.err + answer.out
    assert (world.public.objects, world.state.objects) == before


@pytest.mark.parametrize("text", ["", "n", "no", "what?"])
def test_what_is_not_confirmed_is_not_done(
    sluice: Call, world: StandaloneChannel, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    empty(world)
    before = dict(world.public.objects), dict(world.state.objects)
    answer_with(monkeypatch, text)
    answer = sluice("retire", ADDRESS)
    assert answer.code == Exit.ISSUES_FOUND
    assert "linux-64" in answer.out
    assert f"This deletes 2 subdirs of {ADDRESS}." in answer.out
    assert (world.public.objects, world.state.objects) == before


def test_what_is_confirmed_is_done_and_the_channel_is_unknown_then(
    sluice: Call, world: StandaloneChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty(world)
    answer_with(monkeypatch, "yes")
    answer = sluice("retire", ADDRESS)
    assert answer.code == Exit.OK
    assert f"{ADDRESS} is retired. A later upload starts a new history." in answer.out
    assert world.public.objects == {}
    for command in ("status", "log", "verify", "rejects", "pins"):
        answer = sluice(command, ADDRESS)
        assert answer.code == Exit.ISSUES_FOUND
        assert "it was retired" in answer.out + answer.err
    again = sluice("retire", ADDRESS, "--yes")
    assert (again.code, "it was retired" in again.err) == (Exit.ISSUES_FOUND, True)


def test_the_answer_in_json_says_what_went(sluice: Call, world: StandaloneChannel) -> None:
    empty(world)
    document = sluice("retire", ADDRESS, "--yes", "--json").json
    assert (document["done"], [one["subdir"] for one in document["subdirs"]]) == (
        True,
        ["linux-64", "noarch"],
    )
    assert "repodata.json" in document["subdirs"][0]["files"]


def test_a_retirement_that_was_interrupted_shows_in_the_status(
    sluice: Call, world: StandaloneChannel
) -> None:
    empty(world)

    def interrupt(operation: str, key: str) -> None:
        if operation == "PutObject" and key.startswith("heads/"):
            raise KeyboardInterrupt

    world.state.before = interrupt
    assert sluice("retire", ADDRESS, "--yes").code == Exit.INTERRUPTED
    world.state.before = lambda _operation, _key: None
    status = sluice("status", ADDRESS)
    assert status.code == Exit.ISSUES_FOUND
    assert f"sluice retire {ADDRESS}" in status.out
    assert sluice("retire", ADDRESS, "--yes").code == Exit.OK
