"""``sluice index`` on an S3 without any function, and py-rattler as a reader of what it makes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rattler
from rattler import Gateway, RepoDataRecord, SourceConfig
from rattler.networking import AuthenticationMiddleware, Client, S3Middleware
from rattler.networking.middleware import S3Config

from local.emulator import CREDENTIALS, REGION
from testkit.channel import Package, conda
from testkit.deployed import Deployed
from tests.e2e.rattler_client import index_with_rattler
from tests.support.installed_program import Program, ProgramResult


def package(name: str, version: str = "1.0", *, depends: tuple[str, ...] = ()) -> Package:
    index: dict[str, Any] = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": list(depends),
        "subdir": "linux-64",
    }
    return conda(index, payload=f"{name} {version}".encode())


LIB, APP = package("lib"), package("app", depends=("lib >=1",))
OLD = tuple(package(f"old-{number}") for number in range(30))


@dataclass(frozen=True)
class Place:
    """A bucket that no stack watches, and the program."""

    deployed: Deployed
    program: Program
    bucket: str

    @property
    def url(self) -> str:
        """Of a channel in it."""
        return f"s3://{self.bucket}/Conda/Team"

    def upload(self, *packages: Package) -> None:
        """Put packages there."""
        for one in packages:
            self.deployed.stack.s3.put_object(
                Bucket=self.bucket, Key=f"Conda/Team/{one.path}", Body=one.body
            )

    def index(self, *arguments: str, state: str, code: int = 0) -> ProgramResult:
        """Call the program."""
        ran = self.program.run(
            *("index", self.url, "--state", state, *arguments),
            environment={
                "AWS_ENDPOINT_URL": self.deployed.stack.endpoint,
                "COLUMNS": "200",
                **CREDENTIALS,
            },
        )
        assert ran.code == code, ran
        return ran

    def solve(self, spec: str, home: Path, *, sharded: bool) -> list[str]:
        """What py-rattler would install, by filename."""
        there = S3Config(self.deployed.stack.endpoint, REGION, "path")
        client = Client([AuthenticationMiddleware(), S3Middleware({self.bucket: there})])
        config = SourceConfig(sharded_enabled=sharded)

        async def _solve() -> list[RepoDataRecord]:
            gateway = Gateway(cache_dir=home, default_config=config, client=client)
            return await rattler.solve(
                [rattler.Channel(self.url)], [spec], gateway, ["linux-64", "noarch"]
            )

        return sorted(record.file_name for record in asyncio.run(_solve()))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program.install(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def place(request: pytest.FixtureRequest, deployed: Deployed, program: Program) -> Place:
    bucket = "by-hand-" + request.node.originalname.replace("_", "-")[-40:]
    deployed.stack.s3.create_bucket(Bucket=bucket)
    deployed.stack.s3.create_bucket(Bucket=f"{bucket}-state")
    return Place(deployed, program, bucket)


def test_clients_read_what_it_makes(place: Place, tmp_path: Path) -> None:
    place.upload(LIB, APP)
    told = place.index("--json", state=f"{place.bucket}-state").json
    assert (told["packages"], told["read"], told["failures"]) == (2, 2, [])
    for sharded in (True, False):
        home = tmp_path / str(sharded)
        assert place.solve("app", home, sharded=sharded) == [APP.filename, LIB.filename]
    newer = package("lib", "2.0")
    place.upload(newer)
    assert place.index("--json", state=f"{place.bucket}-state").json["read"] == 1
    home = tmp_path / "after"
    assert place.solve("app", home, sharded=True) == [APP.filename, newer.filename]
    again = place.index("--json", state=f"{place.bucket}-state").json
    assert (again["read"], again["subdirs"]) == (0, [])


def test_the_state_may_lie_beside_the_channel(place: Place, tmp_path: Path) -> None:
    place.upload(LIB, APP)
    ran = place.index(state=f"s3://{place.bucket}/.sluice")
    assert "anyone who can read the whole bucket can read the state" in ran.err
    assert place.solve("app", tmp_path, sharded=True) == [APP.filename, LIB.filename]
    keys = place.deployed.keys(place.bucket, "")
    assert {key.partition("/")[0] for key in keys} == {".sluice", "Conda"}


def test_it_takes_over_from_rattler_index(place: Place, tmp_path: Path) -> None:
    place.upload(*OLD)
    index_with_rattler(place.deployed.stack.endpoint, place.url)
    place.upload(LIB, APP)
    told = place.index("--json", state=f"{place.bucket}-state").json
    linux = next(one for one in told["subdirs"] if one["subdir"] == "linux-64")
    assert linux["taken_over"] == len(OLD)
    assert place.solve("app", tmp_path, sharded=True) == [APP.filename, LIB.filename]
    assert place.solve("old-7", tmp_path, sharded=True) == [OLD[7].filename]
