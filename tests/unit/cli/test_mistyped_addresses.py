"""Addresses of what does not exist: no command takes them for empty and healthy channels."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.cli.exits import Exit
from sluice.layout import REPODATA, Subdir
from sluice.storage.object_store import ObjectStore
from sluice.storage.wrappers.prefixed import PrefixedStore
from tests.support.standalone_channel import CHANNEL, OWNER, StandaloneChannel, package
from tests.unit.cli.conftest import Call, caller

BUCKET = "channel-bucket"
ADDRESS = f"s3://{BUCKET}/{CHANNEL}"
MEANT = f"did you mean {ADDRESS}?"
READERS = ("status", "log", "verify", "rejects", "pins")


@pytest.fixture
def world() -> StandaloneChannel:
    world = StandaloneChannel()
    world.upload(package("alpha"), package("pure", subdir="noarch"))
    world.index()
    return world


@pytest.fixture
def sluice(
    world: StandaloneChannel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Call the command line, which finds the channels of the world by their addresses."""

    def channel(opener: Opener, address: Address, *, name: str | None = None) -> Channel:
        world.tick()
        state: ObjectStore = world.state
        if opener.state:
            state = PrefixedStore(state, f"{opener.state}/")
        return replace(
            world.channel,
            name=address.path if name is None else name,
            owner=opener.state or OWNER,
            state=state,
        )

    monkeypatch.setattr(Opener, "channel", channel)
    monkeypatch.setattr(Aws, "bucket", lambda _aws, _name: world.public)
    return caller(monkeypatch, capsys)


@pytest.mark.parametrize("command", READERS)
def test_an_unknown_channel_is_no_healthy_one(sluice: Call, command: str) -> None:
    answer = sluice(command, f"s3://{BUCKET}/taem")
    assert answer.code == Exit.ISSUES_FOUND
    assert MEANT in answer.out + answer.err


@pytest.mark.parametrize("command", READERS)
def test_an_unknown_channel_is_no_healthy_one_in_json(sluice: Call, command: str) -> None:
    answer = sluice(command, f"s3://{BUCKET}/taem", "--json")
    assert answer.code == Exit.ISSUES_FOUND
    assert MEANT in answer.out + answer.err


@pytest.mark.parametrize("command", ["status", "verify", "rejects", "pins", "index"])
def test_a_subdir_in_the_place_of_a_channel_leads_to_the_channel(
    sluice: Call, command: str
) -> None:
    answer = sluice(command, f"{ADDRESS}/linux-64")
    assert answer.code == Exit.ISSUES_FOUND
    assert f"linux-64 is a subdir of the channel {ADDRESS}" in answer.out + answer.err


def test_a_channel_that_is_unlike_any_other_lists_those_that_there_are(sluice: Call) -> None:
    assert f"it has {ADDRESS}" in sluice("status", f"s3://{BUCKET}/zzz").out


def test_an_unknown_subdir_is_answered_with_those_that_there_are(sluice: Call) -> None:
    for command, code in (("log", Exit.ISSUES_FOUND), ("show", Exit.FAILED)):
        more = ["1"] if command == "show" else []
        answer = sluice(command, f"{ADDRESS}/linux-46", *more)
        assert answer.code == code
        assert "it has linux-64 and noarch. Did you mean linux-64?" in answer.err


@pytest.mark.parametrize("command", READERS)
def test_a_wrong_state_leads_to_the_right_one(sluice: Call, command: str) -> None:
    answer = sluice(command, ADDRESS, "--state", "other")
    assert answer.code == Exit.ISSUES_FOUND
    assert f"the state {OWNER} publishes its index. To use that state, set --state {OWNER}" in (
        answer.out + answer.err
    )


def test_an_index_with_a_wrong_state_names_the_right_one_and_adoption(
    sluice: Call, world: StandaloneChannel
) -> None:
    before = dict(world.public.objects)
    answer = sluice("index", ADDRESS, "--state", "other")
    assert answer.code == Exit.FAILED
    assert f"the state {OWNER} publishes {CHANNEL}/linux-64/" in answer.out
    assert "not this state (other)" in answer.out
    assert "sluice index --adopt" in answer.out
    assert world.public.objects == before


def test_a_state_without_channels_is_said_to_have_none(
    sluice: Call, world: StandaloneChannel
) -> None:
    world.public.objects.clear()
    answer = sluice("status", ADDRESS, "--state", "other")
    assert answer.code == Exit.ISSUES_FOUND
    assert "the state is empty" in answer.out


def test_an_index_of_a_place_without_packages_says_where_it_looked(
    sluice: Call, world: StandaloneChannel
) -> None:
    before = dict(world.public.objects), dict(world.state.objects)
    answer = sluice("index", f"s3://{BUCKET}/teem")
    assert answer.code == Exit.ISSUES_FOUND
    assert f"s3://{BUCKET}/teem/<subdir>/ has no packages" in answer.out
    assert MEANT in answer.out
    assert MEANT in sluice("index", f"s3://{BUCKET}/teem", "--json").json["empty"]
    assert (world.public.objects, world.state.objects) == before


def test_an_index_of_misplaced_packages_names_them(sluice: Call, world: StandaloneChannel) -> None:
    world.public.upload("crew/linux64/x-1.0-0.conda", b"")
    answer = sluice("index", f"s3://{BUCKET}/crew")
    assert answer.code == Exit.ISSUES_FOUND
    assert "linux64 is not a subdir; did you mean linux-64?" in answer.out


def test_a_packages_subdir_in_the_place_of_a_channel_is_recognized_before_any_index(
    sluice: Call, world: StandaloneChannel
) -> None:
    world.public.upload("crew/linux-64/x-1.0-0.conda", b"")
    answer = sluice("index", f"s3://{BUCKET}/crew/linux-64")
    assert answer.code == Exit.ISSUES_FOUND
    assert f"linux-64 is a subdir of the channel s3://{BUCKET}/crew" in answer.out


def test_an_empty_channel_is_created_on_request(sluice: Call, world: StandaloneChannel) -> None:
    place = f"s3://{BUCKET}/crew"
    assert "--create" in sluice("index", f"s3://{BUCKET}/zzz").out
    created = sluice("index", place, "--create")
    assert created.code == Exit.OK
    noarch = Subdir("crew", "noarch")
    assert json.loads(world.public.body(noarch.file_key(REPODATA)) or b"")["packages.conda"] == {}
    assert sluice("status", place).code == Exit.OK
    for again in ([], ["--create"]):
        assert sluice("index", place, *again).code == Exit.OK
    world.public.upload("crew/linux-64/alpha-1.0-0.conda", package("alpha").body)
    assert sluice("index", place).code == Exit.OK
    assert world.filenames(Subdir("crew", "linux-64")) == ["alpha-1.0-0.conda"]


@pytest.mark.parametrize("subdir", ["linux-65", "linux64", "Linux-64", "win"])
def test_a_mistyped_subdir_of_an_index_is_a_usage_error(
    sluice: Call, world: StandaloneChannel, subdir: str
) -> None:
    before = dict(world.public.objects)
    answer = sluice("index", ADDRESS, "--subdir", subdir)
    assert answer.code == Exit.USAGE_ERROR
    assert "it has linux-64 and noarch" in answer.err
    if subdir != "win":
        assert "Did you mean linux-64?" in answer.err
    assert world.public.objects == before
