"""``sluice index`` and ``sluice verify``, and with what they exit."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.catalog.binding import binding_object
from sluice.cli.exits import Exit
from sluice.layout import REPODATA
from sluice.storage.object_store import ObjectStore
from testkit.memory_store import LostAnswer
from tests.support.standalone_channel import CHANNEL, LINUX, StandaloneChannel, package
from tests.unit.cli.conftest import Call, caller

ADDRESS = f"s3://channel-bucket/{CHANNEL}"


@pytest.fixture
def world() -> StandaloneChannel:
    return StandaloneChannel()


@pytest.fixture
def sluice(
    world: StandaloneChannel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Call the command line, which finds the world's channel at every address."""

    def channel(_opener: Opener, _address: Address, *, name: str | None = None) -> Channel:
        world.tick()
        return world.channel if name is None else replace(world.channel, name=name)

    def bucket(_aws: Aws, _name: str) -> ObjectStore:
        return world.public

    monkeypatch.setattr(Opener, "channel", channel)
    monkeypatch.setattr(Aws, "bucket", bucket)
    return caller(monkeypatch, capsys)


def test_index_tells_what_it_did(sluice: Call, world: StandaloneChannel) -> None:
    world.upload(package("alpha"), package("beta"))
    answer = sluice("index", ADDRESS)
    assert answer.code == Exit.OK
    assert "2 packages, 2 of them read." in answer.out
    assert world.filenames() == ["alpha-1.0-0.conda", "beta-1.0-0.conda"]
    again = sluice("index", ADDRESS, "--json").json
    assert (again["packages"], again["read"], again["subdirs"]) == (2, 0, [])


def test_index_takes_the_subdirs_that_are_named(sluice: Call, world: StandaloneChannel) -> None:
    world.upload(package("alpha"), package("pure", subdir="noarch"))
    told = sluice("index", ADDRESS, "--subdir", "linux-64", "--json").json
    assert told["packages"] == 1


def test_index_exits_with_3_where_a_part_failed(sluice: Call, world: StandaloneChannel) -> None:
    world.upload(package("alpha"), package("beta"))

    def refuse(operation: str, key: str) -> None:
        if operation == "GetObject" and "beta" in key:
            raise LostAnswer

    world.public.before = refuse
    answer = sluice("index", ADDRESS)
    assert answer.code == Exit.FAILED
    assert "beta-1.0-0.conda: Unavailable" in answer.out


def test_a_state_in_the_channels_bucket_is_pointed_out(
    sluice: Call, world: StandaloneChannel
) -> None:
    world.upload(package("alpha"))
    world.channel = replace(world.channel, owner="channel-bucket/state")
    assert "anyone who can read the whole bucket can read the state" in sluice("index", ADDRESS).err


def test_verify_finds_nothing_in_a_healthy_channel(sluice: Call, world: StandaloneChannel) -> None:
    world.upload(package("alpha"))
    sluice("index", ADDRESS)
    answer = sluice("verify", ADDRESS, "--deep")
    assert (answer.code, "No differences." in answer.out) == (Exit.OK, True)


def test_verify_tells_what_differs_and_what_would_repair_it(
    sluice: Call, world: StandaloneChannel
) -> None:
    world.upload(package("alpha"))
    sluice("index", ADDRESS)
    world.public.upload(LINUX.file_key(REPODATA), b"{}")
    answer = sluice("verify", ADDRESS)
    assert answer.code == Exit.ISSUES_FOUND
    assert f"file-foreign  {LINUX.file_key(REPODATA)}" in answer.out
    assert "→ --repair writes the file again from the catalog" in answer.out
    told = sluice("verify", ADDRESS, "--json").json
    assert told["found"]["findings"][0]["kind"] == "file-foreign"
    assert told["left"] is None


def test_verify_repairs_and_looks_again(sluice: Call, world: StandaloneChannel) -> None:
    world.upload(package("alpha"))
    sluice("index", ADDRESS)
    world.public.upload(LINUX.file_key(REPODATA), b"{}")
    told = sluice("verify", ADDRESS, "--repair", "--json")
    assert told.code == Exit.ISSUES_FOUND  # something was amiss
    assert told.json["left"]["findings"] == []
    assert "No differences." in sluice("verify", ADDRESS, "--repair").out


def test_in_a_bucket_that_the_catalog_does_not_belong_to_each_command_says_so(
    sluice: Call, world: StandaloneChannel
) -> None:
    world.upload(package("alpha"), package("beta"), package("gamma"))
    sluice("index", ADDRESS)
    there = dict(world.public.objects)
    world.public.objects.clear()
    world.channel = replace(world.channel, bucket="restored-bucket")
    reason = "is bound to the bucket channel-bucket"
    refused = sluice("index", ADDRESS)
    assert (refused.code, refused.out.count(reason)) == (Exit.FAILED, 1)
    assert "linux-64, noarch: the catalog of the channel" in refused.out
    verified = sluice("verify", ADDRESS)
    assert (verified.code, reason in verified.err) == (Exit.FAILED, True)
    status = sluice("status", ADDRESS)
    assert (status.code, reason in status.out) == (Exit.ISSUES_FOUND, True)
    assert world.public.objects == {}

    empty = sluice("rebind", ADDRESS)
    assert empty.code == Exit.ISSUES_FOUND
    assert "linux-64: the bucket has only 0 of 3 packages" in empty.out
    assert "restored-bucket has 0 of 3 packages" in empty.out
    digest = sluice("rebind", ADDRESS, "--json").json["digest"]
    assert f"--confirm {digest}" in " ".join(empty.out.split())

    world.public.objects.update(there)
    dry = sluice("rebind", ADDRESS, "--dry-run")
    assert (dry.code, "which has 3 of 3 packages" in dry.out) == (Exit.OK, True)
    moved = sluice("rebind", ADDRESS)
    assert moved.code == Exit.OK
    assert "The catalog is now bound to the bucket restored-bucket" in moved.out
    for command in ("index", "verify", "status"):
        assert sluice(command, ADDRESS).code == Exit.OK
    log = sluice("log", ADDRESS)
    assert "The catalog is bound to the bucket restored-bucket." in log.out


def test_a_rebind_that_was_interrupted_shows_in_the_status(
    sluice: Call, world: StandaloneChannel
) -> None:
    world.upload(package("alpha"))
    sluice("index", ADDRESS)
    before = binding_object(world.state, CHANNEL).read()
    assert before.value
    moving = msgspec.structs.replace(before.value, moving_to="restored-bucket")
    binding_object(world.state, CHANNEL).swap(moving, expected=before.etag)
    status = sluice("status", ADDRESS)
    assert status.code == Exit.ISSUES_FOUND
    assert "is being moved to the bucket restored-bucket" in status.out
    assert f"sluice rebind s3://restored-bucket/{CHANNEL}" in status.out.replace("\n", "")
