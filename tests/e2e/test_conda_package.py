"""The conda package of sluice: built from its recipe, indexed by sluice, solved and installed.

No conda channel can be reached from here.  So all that the recipe needs beside sluice is a
stand-in: an empty package of that name and version, and a ``python`` that runs the Python which
runs this test, with the modules of the prefix before its own.  What is tested is the recipe, its
solve against names and versions, its entry points and its files; not that conda-forge's packages of
the same names work with it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pytest
import rattler
from rattler import Gateway, RepoDataRecord
from rattler_build import Stage0Recipe, ToolConfiguration
from rattler_build.progress import SimpleProgressCallback

from local.packages import PYTHON, Recipe, build_package
from sluice import __version__
from testkit.s3_server.process import S3Server, s3_server
from tests.support.template import ROOT

RECIPE = ROOT / "deploy" / "conda" / "recipe.yaml"
BUCKET, STATE = "channel", "channel-state"
CHANNEL = "tools"
# Conda's name where it is another one than PyPI's.
NEEDED = {
    name: version(distribution)
    for distribution, name in {
        **{name: name for name in ("boto3", "cyclopts", "msgspec", "rich", "urllib3", "zstandard")},
        **{name: name for name in ("pip", "hatchling")},
        "msgpack": "msgpack-python",
    }.items()
}
# pip would install into the environment of this test otherwise.
_RUNS_IN_THE_PREFIX = 'PIP_PREFIX="$prefix" PIP_CONFIG_FILE=/dev/null PYTHONPATH='


@dataclass(frozen=True)
class Place:
    """A channel on an S3, and what was built for it."""

    server: S3Server
    folder: Path

    @property
    def url(self) -> str:
        """Of the channel, for clients."""
        return f"{self.server.endpoint}/{BUCKET}/{CHANNEL}"

    def publish(self, *packages: Path) -> None:
        """Upload packages and have sluice index them."""
        for path in packages:
            key = f"{CHANNEL}/{path.parent.name}/{path.name}"
            self.server.load([BUCKET], [(key, path.read_bytes())])
        self.sluice(Path(sys.executable), "-m", "sluice.cli", "index", f"s3://{BUCKET}/{CHANNEL}")

    def sluice(self, program: Path, *arguments: str) -> str:
        """Run it for the state of the channel."""
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT / "layers" / "sluice"),
            "AWS_ENDPOINT_URL": self.server.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "SLUICE_STATE": STATE,
        }
        if program != Path(sys.executable):
            del environment["PYTHONPATH"]
        ran = subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def solve(self, spec: str) -> list[RepoDataRecord]:
        """Solve with nothing but the channel."""

        async def _solve() -> list[RepoDataRecord]:
            gateway = Gateway(cache_dir=self.folder / "repodata")
            platforms = [rattler.Subdir.current(), rattler.Subdir("noarch")]
            return await rattler.solve([rattler.Channel(self.url)], [spec], gateway, platforms)

        return asyncio.run(_solve())

    def install(self, records: list[RepoDataRecord]) -> Path:
        """Install what was solved, and return the prefix."""
        prefix, cache = self.folder / "prefix", self.folder / "packages"
        asyncio.run(rattler.install(records, prefix, cache_dir=cache, show_progress=False))
        return prefix


def _stand_ins(folder: Path) -> list[Path]:
    (text,) = PYTHON.files.values()
    text = text.replace("PYTHONPATH=", _RUNS_IN_THE_PREFIX)
    # The first line of an entry point names the second.
    programs = ("bin/python", f"bin/python{sys.version_info.major}.{sys.version_info.minor}")
    python = replace(PYTHON, files=dict.fromkeys(programs, text))
    others = [
        Recipe(name, "noarch", {f"share/{name}": "stands in"}, number, noarch="generic")
        for name, number in NEEDED.items()
    ]
    return [build_package(recipe, folder / recipe.subdir) for recipe in (python, *others)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("conda")
    with s3_server() as server:
        for bucket in (BUCKET, STATE):
            server.create(bucket)
        place = Place(server, folder)
        place.publish(*_stand_ins(folder / "stand-ins"))
        yield place


def test_the_recipe_builds_and_its_package_is_indexed_solved_and_installed(place: Place) -> None:
    (result,) = Stage0Recipe.from_file(RECIPE).run_build(
        tool_config=ToolConfiguration(test_strategy="native"),  # the tests of the recipe, too
        output_dir=place.folder / "built",
        channels=[place.url],
        progress_callback=SimpleProgressCallback(),  # prints, which pytest shows of a failure
    )
    (package,) = (Path(path) for path in result.packages)
    assert package.parent.name == "noarch"
    place.publish(package)

    records = place.solve("conda-sluice")
    assert {record.name.normalized for record in records} == {
        *("conda-sluice", "python"),
        *(NEEDED.keys() - {"pip", "hatchling"}),
    }
    programs = place.install(records) / "bin"
    for name in ("sluice", "conda-sluice"):
        assert place.sluice(programs / name, "--version") == f"{__version__}\n"
    status = place.sluice(programs / "sluice", "status", f"s3://{BUCKET}/{CHANNEL}")
    assert "noarch" in status
