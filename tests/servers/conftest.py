"""S3 servers, of testkit and of others, and an operator who uses the command line on them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from sluice.admin.session.server_capabilities import ServerCapabilities
from sluice.cli.exits import Exit
from sluice.cli.main import run
from sluice.layout import probe_record_key
from sluice.storage.conditional_writes import ConditionalWrites, IfMatchForm
from testkit.channel import Package
from testkit.published import Index, read_index
from testkit.s3_server.kinds import REGION, USABLE, servers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from testkit.real_s3.server import RealServer
    from testkit.s3_server.process import S3Server

REAL: Mapping[str, ServerCapabilities] = {
    "seaweedfs": ServerCapabilities(ConditionalWrites(), verifies_checksums=True),
    "ceph": ServerCapabilities(
        ConditionalWrites(IfMatchForm.BARE, completion_is_conditional=False),
        verifies_checksums=False,
    ),
}
"""What the probe has to find out about the servers of others."""
WHOLE, IN_PARTS = "whole", "in-parts"


@dataclass(frozen=True)
class Server:
    """A running server."""

    endpoint: str
    environment: Mapping[str, str]
    """The variables with which S3 clients use it."""
    expected: ServerCapabilities
    """What the probe has to find out."""

    @cached_property
    def client(self) -> S3Client:
        """Somebody else's client, with the variables set."""
        path = Config(s3={"addressing_style": "path"})
        session = boto3.session.Session()  # the default one keeps the first credentials
        return session.client("s3", endpoint_url=self.endpoint, config=path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On the server of others that is asked for; the story with both sizes, and on testkit's."""
    real: str = metafunc.config.getoption("--s3")
    if "sizes" in metafunc.fixturenames:
        kinds = [] if real == "ceph" else [*USABLE]
        cases = [*((kind, IN_PARTS) for kind in kinds), (real, WHOLE), (real, IN_PARTS)]
        metafunc.parametrize(("server", "sizes"), cases, indirect=True)
    elif "server" in metafunc.fixturenames:
        metafunc.parametrize("server", [real], indirect=True)


@pytest.fixture(scope="session")
def of_testkit() -> Iterator[Mapping[str, S3Server]]:
    """A server of each kind that can be used."""
    with servers(USABLE) as running:
        yield running


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server that a test is for; its variables are set."""
    if request.param in REAL:
        real: RealServer = request.getfixturevalue("real_s3")
        found = Server(real.endpoint, real.environment, REAL[request.param])
    else:
        found = _of_testkit(request.getfixturevalue("of_testkit")[request.param], request.param)
    for variable, value in found.environment.items():
        monkeypatch.setenv(variable, value)
    return found


def _of_testkit(server: S3Server, name: str) -> Server:
    kind = USABLE[name]
    environment = {"AWS_ENDPOINT_URL": server.endpoint, "AWS_REGION": REGION}
    assert kind.expected
    expected = ServerCapabilities(kind.expected, kind.verifies_checksums)
    return Server(server.endpoint, environment, expected)


class Operator:
    """Somebody with two buckets, who calls the command line for a channel in one of them."""

    def __init__(self, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
        self.server = server
        self._capsys = capsys
        self.bucket = f"story-{uuid.uuid4().hex[:8]}"
        self.state = f"{self.bucket}-state"
        for name in (self.bucket, self.state):
            server.client.create_bucket(Bucket=name)

    def call(self, command: str, *arguments: str, path: str = "", code: int = 0) -> Any:
        """Call a command on the channel, or on a path in it; its answer."""
        address = f"s3://{self.bucket}/team{path}"
        self._capsys.readouterr()
        exit_code = run([command, address, *arguments, "--state", self.state, "--json"])
        printed = self._capsys.readouterr()
        assert exit_code == code, (command, printed)
        return json.loads(printed.out)

    def fail(self, *arguments: str) -> None:
        """Call a command that cannot be carried out."""
        assert run(arguments) == Exit.FAILED, self._capsys.readouterr()

    def buckets(self) -> list[str]:
        """The buckets of the server."""
        return [bucket["Name"] for bucket in self.server.client.list_buckets()["Buckets"]]

    def upload(self, *packages: Package) -> None:
        """Put packages into the channel."""
        for one in packages:
            key = f"team/{one.path}"
            self.server.client.put_object(Bucket=self.bucket, Key=key, Body=one.body)

    def read(self, key: str, *, bucket: str | None = None) -> bytes:
        """Read an object of the channel's bucket, or of another one."""
        stored = self.server.client.get_object(Bucket=bucket or self.bucket, Key=key)
        return stored["Body"].read()

    def delete(self, key: str) -> None:
        """Delete an object of the channel's bucket."""
        self.server.client.delete_object(Bucket=self.bucket, Key=key)

    def keys(self, bucket: str) -> list[str]:
        """What lies in a bucket."""
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def index_of(self, subdir: str, *, channel: str = "team") -> Index:
        """What clients read."""
        return read_index(lambda file: self.read(f"{channel}/{subdir}/{file}"))

    def filenames(self, subdir: str = "linux-64") -> list[str]:
        """What clients find."""
        return sorted(self.index_of(subdir).records)

    def probe_record(self, bucket: str) -> dict[str, Any]:
        """What the state says of a bucket's server."""
        record: dict[str, Any] = json.loads(
            self.read(probe_record_key(self.server.endpoint, bucket), bucket=self.state)
        )
        return record


@pytest.fixture
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts: every object but the smallest counts as large."""
    if request.param == IN_PARTS:
        monkeypatch.setattr("sluice.storage.s3_conditional_put.SINGLE_PUT_BYTES_MAX", 64)


@pytest.fixture
def operator(
    server: Server,
    capsys: pytest.CaptureFixture[str],
) -> Operator:
    return Operator(server, capsys)
