"""A release is deployed from its files alone, the next one over it, and back, with data in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local import clients
from local.emulator import Emulator, run_emulator
from local.release.archives import files_below
from local.release.checks import check_release
from local.release.functions import Target
from local.release.release import CHECKSUMS, Release, make_release
from local.stack import STACK_NAME, Stack, host_parameters
from sluice import __version__
from testkit.deployed import Channel, Deployed
from tests.e2e.rattler_client import install, solve
from tests.support.released_stack import deploy_release, next_release
from tests.support.standalone_channel import package
from tests.support.template import ROOT

TOOLS = ROOT / ".venv-release"
NEXT = "99.0.0"
FIRST, SECOND, THIRD = package("first"), package("second"), package("third")


@dataclass(frozen=True)
class Place:
    """An AWS in which nobody has deployed anything, and two releases."""

    emulator: Emulator
    target: Target
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
        yield Place(emulator, target, released, following)


def test_a_release_has_all_that_its_notes_name_and_the_tools_of_others_pass_it(
    place: Place,
) -> None:
    folder, code = place.released.folder, f"stack/{place.released.code}"
    assert sorted(files_below(folder)) == sorted(
        [
            *("RELEASE_NOTES.md", "SHA256SUMS", f"sluice-{__version__}.cdx.json"),
            f"conda_sluice-{__version__}-py3-none-any.whl",
            f"conda_sluice-{__version__}.tar.gz",
            f"stack/sluice-{__version__}.template.json",
            *(f"{code}/{name}.zip" for name in ("extract", "merge", "reconcile")),
            f"{code}/{place.target.layer}",
        ]
    )
    check = ["sha256sum", "--check", "--strict", "--quiet", CHECKSUMS]
    subprocess.run(check, cwd=folder, check=True)
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    subprocess.run([cfn_lint, place.released.template], check=True)


def test_a_layer_has_bytecode_that_names_its_files_as_they_lie_on_lambda(place: Place) -> None:
    with zipfile.ZipFile(place.released.code_folder / place.target.layer) as layer:
        names = layer.namelist()
        sources = [name for name in names if name.endswith(".py") and "/sluice/" in name]
        compiled = [name for name in names if name.endswith(".pyc") and "/sluice/" in name]
        assert len(compiled) == len(sources) > 0
        assert all(b"/opt/python/sluice/" in layer.read(name) for name in compiled)


@pytest.mark.skipif(not TOOLS.is_dir(), reason="the tools are not installed: run make test")
def test_the_package_and_the_bill_of_materials_pass_their_checks(place: Place) -> None:
    assert check_release(place.released.folder, TOOLS) == []


def test_the_same_source_makes_the_same_bytes(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder, with other rights for new files and another order of sets."""
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    umask = os.umask(0o077)
    try:
        again = make_release(tmp_path / "elsewhere" / "dist", [place.target], wheels="host")
    finally:
        os.umask(umask)
    first, second = (one.folder / CHECKSUMS for one in (place.released, again))
    assert first.read_text() == second.read_text()


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
