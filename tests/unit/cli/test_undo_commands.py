"""What the commands that undo something show, over a channel in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.cli.exits import Exit
from sluice.cli.main import run
from testkit.channel import conda
from tests.support.admin_channel import admin_channel
from tests.support.fake_stack import stack_of, with_clients
from tests.support.staging_records import A, B, C
from tests.support.subdir_world import World

CHANNEL = "s3://channels/Conda/Default"
REAL = conda(
    {"name": "real", "version": "1.0", "build": "0", "build_number": 0, "subdir": "linux-64"}
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Generation 1 has alpha, and a package that can be read; 2 has beta and gamma as well."""
    world = World()
    world.add(A)
    world.add(REAL.filename, REAL.body)
    world.merge()
    world.tick(3600)
    world.add(B)
    world.add(C)
    world.merge()
    world.tick(60)

    def channel(_opener: Opener, address: Address, *, name: str | None = None) -> Channel:
        found = replace(admin_channel(world), merges=None)
        return replace(found, name=address.path if name is None else name)

    def elsewhere(_opener: Opener, channel: Channel, address: Address) -> Channel:
        return replace(channel, bucket=address.bucket, name=address.path)

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(Opener, "channel", channel)
    monkeypatch.setattr(Opener, "elsewhere", elsewhere)
    return world


Told = Callable[[], str]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """What was printed since the last call; notes and errors are left out."""
    return lambda: capsys.readouterr().out


def test_a_rollback_is_shown_then_done(world: World, told: Told) -> None:
    assert run(["rollback", f"{CHANNEL}/linux-64", "--to", "1", "--dry-run"]) == Exit.OK
    diff = f"- {B}\n- {C}\nRestored: 0. Removed: 2.\n"
    assert told() == (
        "This would roll back 2 to generation 1 of linux-64, committed 2025-06-15 15:06:43Z.\n"
        + diff
    )
    assert world.head().generation == 2
    assert run(["rollback", f"{CHANNEL}/linux-64", "--to", "1"]) == Exit.OK
    assert told() == (
        "Generation 3 rolls back 2 to generation 1 of linux-64, "
        "committed 2025-06-15 15:06:43Z.\n" + diff
    )
    assert sorted(world.published()) == [A, REAL.filename]


@pytest.mark.usefixtures("world")
def test_history_tells_what_a_person_decided(told: Told) -> None:
    run(["rollback", f"{CHANNEL}/linux-64", "--to", "1", "--reason", "Built wrong."])
    run(["pin", CHANNEL, A, "--reason", "Crashes."])
    run(["unpin", CHANNEL, A])
    told()
    assert run(["log", f"{CHANNEL}/linux-64"]) == Exit.OK
    lines = told().splitlines()
    assert "  rolled back to generation 1, 2 pinned: Built wrong." in lines
    assert "  1 pinned: Crashes." in lines
    assert "  1 unpinned" in lines


def test_a_rollback_tells_what_cannot_come_back(world: World, told: Told) -> None:
    world.drop(A)
    world.add(REAL.filename, b"other")
    world.merge()
    world.add("late-1-0.conda")
    assert run(["rollback", f"{CHANNEL}/linux-64", "--to", "2"]) == Exit.OK
    assert told().splitlines()[1:] == [
        f"- {REAL.filename} (its content has changed, so it cannot be restored)",
        f"! {A} is no longer in the bucket, so it cannot be restored",
        "? late-1-0.conda waits for a merge, which will add it to the index",
        "Restored: 0. Removed: 1.",
    ]


def test_json_has_the_same(world: World, told: Told) -> None:
    assert run(["rollback", f"{CHANNEL}/linux-64", "--to", "1", "--json"]) == Exit.OK
    assert json.loads(told()) == {
        "subdir": "linux-64",
        "rolled_back_from": 2,
        "rolled_back_to": 1,
        "to_committed_at": 1750000003000,
        "to_committed_at_iso": "2025-06-15T15:06:43.000Z",
        "generation": 3,
        "restored": [],
        "pinned": [B, C],
        "gone": [],
        "changed": [],
        "waiting": [],
    }
    assert world.head().generation > 2


def test_a_generation_that_is_not_there_is_an_error(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rollback", f"{CHANNEL}/linux-64", "--to", "9"]) == Exit.FAILED
    assert capsys.readouterr().err.startswith("sluice: Conda/Default/linux-64/ has no generation 9")
    assert run(["rollback", f"{CHANNEL}/linux-64", "--to", "soon"]) == Exit.USAGE_ERROR
    assert world.head().generation == 2


def test_pins_come_and_go(world: World, told: Told) -> None:
    assert run(["pins", CHANNEL]) == Exit.OK
    assert told() == "Nothing is pinned.\n"
    assert run(["pin", CHANNEL, REAL.filename, "--reason", "[b]Broken."]) == Exit.OK
    assert told() == f"linux-64/{REAL.filename} is pinned in generation 3\n"
    assert run(["pins", CHANNEL]) == Exit.OK
    shown = told()
    assert REAL.filename in shown
    assert "[b]Broken." in shown
    assert run(["unpin", CHANNEL, f"linux-64/{REAL.filename}"]) == Exit.OK
    assert told() == f"linux-64/{REAL.filename} is in the index again\n"
    assert REAL.filename in world.published()


def test_what_cannot_be_indexed_again_is_a_difference(world: World, told: Told) -> None:
    run(["pin", CHANNEL, A, "--reason", "x"])
    told()
    assert run(["unpin", CHANNEL, A]) == Exit.ISSUES_FOUND
    assert told() == f"linux-64/{A} cannot be indexed: see sluice rejects\n"
    assert A not in world.published()


def test_remove_deletes(world: World, told: Told) -> None:
    assert run(["remove", CHANNEL, A, "--grace-seconds", "0"]) == Exit.OK
    assert told() == f"linux-64/{A} is deleted\n"
    assert world.subdir.file_key(A) not in world.channel.objects
    assert A not in world.entries()


class FakeCloudFront:
    """Takes invalidations, or refuses them."""

    def __init__(self, *, refuses: bool) -> None:
        self._refuses = refuses

    def create_invalidation(self, **_request: Any) -> dict[str, Any]:
        if self._refuses:
            told: Any = {"Code": "AccessDenied", "Message": "not authorized"}
            raise ClientError({"Error": told}, "CreateInvalidation")
        return {"Invalidation": {"Id": "I2J0I21PCUYOIK"}}


@pytest.fixture
def behind_a_cdn(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeCloudFront], None]:
    """Put the channel of the world behind a distribution."""

    def put(cloudfront: FakeCloudFront) -> None:
        aws = with_clients(Aws(region="us-east-1"), cloudfront=cloudfront)
        stack = stack_of(aws, {"DistributionArn": "arn:aws:cloudfront::1:distribution/EDF"})

        def channel(_opener: Opener, _address: Address) -> Channel:
            return replace(admin_channel(world), merges=None, stack=stack)

        monkeypatch.setattr(Opener, "channel", channel)

    return put


def test_remove_tells_what_is_invalidated_on_the_cdn(
    told: Told, behind_a_cdn: Callable[[FakeCloudFront], None]
) -> None:
    behind_a_cdn(FakeCloudFront(refuses=False))
    assert run(["remove", CHANNEL, A, "--grace-seconds", "0"]) == Exit.OK
    assert told() == (
        f"linux-64/{A} is deleted\n1 path invalidated on the CDN (invalidation I2J0I21PCUYOIK)\n"
    )


def test_remove_tells_the_command_where_it_may_not_invalidate(
    told: Told,
    behind_a_cdn: Callable[[FakeCloudFront], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behind_a_cdn(FakeCloudFront(refuses=True))
    failure = (
        "An error occurred (AccessDenied) when calling the CreateInvalidation operation: "
        "not authorized"
    )
    command = (
        "aws cloudfront create-invalidation --distribution-id EDF --paths "
        f"/Conda/Default/linux-64/{A}"
    )
    monkeypatch.setenv("COLUMNS", "40")  # which breaks what is read, and not what is copied
    assert run(["remove", CHANNEL, A, "--grace-seconds", "0"]) == Exit.ISSUES_FOUND
    shown = told()
    assert " ".join(shown.split()) == (
        f"linux-64/{A} is deleted "
        f"The CDN invalidation failed, so the CDN may still serve the packages: {failure} "
        f"To invalidate them, run: {command}"
    )
    assert f"\n  {command}\n" in shown
    assert run(["remove", CHANNEL, B, "--grace-seconds", "0", "--json"]) == Exit.ISSUES_FOUND
    (one,) = json.loads(told())
    assert one["deleted"] == [B]
    assert one["invalidations"] == [
        {
            "distribution": "EDF",
            "paths": [f"/Conda/Default/linux-64/{B}"],
            "id": None,
            "failure": failure,
            "command": command.replace(A, B),
        }
    ]


def test_a_snapshot_tells_what_it_holds(world: World, told: Told) -> None:
    world.drop(A)
    world.merge()
    asked = ["snapshot", CHANNEL, "--at", "linux-64@1", "--to", "s3://channels/old"]
    assert run(asked) == Exit.OK
    lines = told().splitlines()
    assert lines[0] == (
        "s3://channels/old is s3://channels/Conda/Default as of 2025-06-15 15:06:43Z."
    )
    assert f"! linux-64/{A} is no longer in the bucket" in lines
    assert run([*asked[:3], "1", *asked[4:]]) == Exit.USAGE_ERROR
