"""A release is deployed from its files alone, the next one over it, and back, with data in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local import clients
from local.emulator import Emulator, run_emulator
from local.release.functions import Target
from local.release.release import Release, make_release
from local.stack import STACK_NAME, Stack, host_parameters
from sluice import __version__
from testkit.deployed import Channel, Deployed
from tests.e2e.rattler_client import install, solve
from tests.support.released_stack import deploy_release, next_release
from tests.support.standalone_channel import package

NEXT = "99.0.0"
FIRST, SECOND, THIRD = package("first"), package("second"), package("third")


@dataclass(frozen=True)
class Place:
    """An AWS in which nobody has deployed anything, and two releases."""

    emulator: Emulator
    released: Release
    following: Release

    def version_of_the_stack(self) -> str:
        """As its output says."""
        client = clients.cloudformation(self.emulator.endpoint, self.emulator.ca_bundle)
        outputs = client.describe_stacks(StackName=STACK_NAME)["Stacks"][0]["Outputs"]
        return next(one["OutputValue"] for one in outputs if one["OutputKey"] == "Version")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("released")
    host = host_parameters()
    target = Target(host["Runtime"], host["Architecture"])
    released = make_release(folder / "dist", [target], wheels="host")
    following = next_release(released, folder / "next", NEXT)
    with run_emulator(folder / "aws") as emulator:
        yield Place(emulator, released, following)


def logged_versions(stack: Stack) -> set[str]:
    """Of the releases whose functions have logged anything yet."""
    lines = Deployed(stack).lines(stack.extract_function)
    return {line["version"] for line in lines if "version" in line}


def test_a_release_is_deployed_upgraded_and_rolled_back(place: Place, tmp_path: Path) -> None:
    first = deploy_release(place.emulator, place.released, "create", LogLevel="DEBUG")
    channel = Channel(Deployed(first), "Team/Default")
    channel.upload(FIRST)
    channel.wait_until_it_holds(FIRST)
    records = solve(channel, "first", tmp_path, sharded=True)
    assert (install(channel, records, tmp_path) / "conda-meta" / "first-1.0-0.json").is_file()
    assert (place.version_of_the_stack(), logged_versions(first)) == (__version__, {__version__})

    second = deploy_release(place.emulator, place.following, "update", LogLevel="DEBUG")
    channel.upload(SECOND)
    channel.wait_until_it_holds(FIRST, SECOND)
    assert (place.version_of_the_stack(), logged_versions(second)) == (NEXT, {__version__, NEXT})

    back = deploy_release(place.emulator, place.released, "update", LogLevel="DEBUG")
    channel.upload(THIRD)
    channel.delete(FIRST)
    channel.wait_until_it_holds(SECOND, THIRD)
    assert place.version_of_the_stack() == __version__
    assert first == second == back
    assert channel.deployed.reconcile()["counts"]["missing"] == 0
    assert channel.deployed.errors() == []
    assert channel.deployed.depths() == dict.fromkeys(channel.deployed.depths(), 0)
