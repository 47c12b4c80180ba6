"""The stores that have to keep the contract, each with somebody else who uploads to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import boto3
import pytest

from local.emulator import run_emulator
from sluice.admin.session.conditional_write_probe import ConditionalWriteProbe
from sluice.storage.conditional_writes import AWS_CONDITIONAL_WRITES, ConditionalWrites
from sluice.storage.object_store import ObjectStore
from sluice.storage.s3_client import make_s3_client, wall_clock_ms
from sluice.storage.s3_store import S3Store
from sluice.storage.wrappers.prefixed import PrefixedStore
from testkit.memory_store import MemoryStore
from testkit.s3_server.kinds import USABLE
from testkit.s3_server.process import s3_server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from testkit.real_s3.server import RealServer

BUCKET = "channel"
PAGE_SIZE = 3


class World(Protocol):
    """A store, and somebody else who uploads to the bucket behind it."""

    store: ObjectStore
    gives_checksum_type: bool
    """moto, SeaweedFS and Ceph never tell the type of a single PUT's checksum, AWS and MiniStack
    do."""
    minds_conditions_on_parts: bool
    """moto completes an upload in parts whatever its condition says, AWS and MiniStack do not."""
    archives: bool
    """SeaweedFS and Ceph have nothing that has to be restored before it can be read."""
    page_size: int
    """Keys per page of a listing."""

    def upload(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        checksum: bool = False,
        archived: bool = False,
    ) -> None:
        """Put an object there, not through the store."""
        ...

    def sleep(self, seconds: int) -> None:
        """Let so much time pass over the machine that the store is used on."""
        ...


class MemoryWorld:
    """The in-memory store."""

    gives_checksum_type = True
    minds_conditions_on_parts = True
    archives = True
    page_size = PAGE_SIZE

    def __init__(self) -> None:
        self._now = 1_700_000_000
        memory = MemoryStore(lambda: self._now, page_size=PAGE_SIZE)
        self.store: ObjectStore = memory
        self._memory = memory

    def sleep(self, seconds: int) -> None:
        """Let so much time pass."""
        self._now += seconds

    def upload(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        checksum: bool = False,
        archived: bool = False,
    ) -> None:
        """Put an object there, not through the store."""
        self._memory.upload(key, body, metadata=metadata, checksum=checksum, archived=archived)


class PrefixedWorld(MemoryWorld):
    """A folder of it, with others around."""

    def __init__(self) -> None:
        super().__init__()
        self.store = PrefixedStore(self.store, "a/folder/")
        for key in ("a", "a/folder", "a/folder0", "b"):
            self._memory.upload(key, b"somebody else's")

    def upload(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        checksum: bool = False,
        archived: bool = False,
    ) -> None:
        """Put an object there, not through the store."""
        super().upload(
            f"a/folder/{key}", body, metadata=metadata, checksum=checksum, archived=archived
        )


class S3World:
    """``S3Store`` on whatever the environment says is S3."""

    def __init__(
        self,
        bucket: str,
        *,
        gives_checksum_type: bool = True,
        writes: ConditionalWrites = AWS_CONDITIONAL_WRITES,
        minds_conditions_on_parts: bool = True,
        archives: bool = True,
        page_size: int = PAGE_SIZE,
    ) -> None:
        """``writes``: what the store takes the server for."""
        self._ahead_ms = 0
        client = make_s3_client(clock=lambda: wall_clock_ms() + self._ahead_ms)
        self.store: ObjectStore = S3Store(client, bucket, lambda: writes)
        self.gives_checksum_type = gives_checksum_type
        self.minds_conditions_on_parts = minds_conditions_on_parts
        self.archives = archives
        self.page_size = page_size
        self._client: S3Client = boto3.client("s3")
        self._bucket = bucket
        self._client.create_bucket(Bucket=bucket)

    def sleep(self, seconds: int) -> None:
        """Let so much time pass by the clock of this machine."""
        self._ahead_ms += seconds * 1000

    def upload(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        checksum: bool = False,
        archived: bool = False,
    ) -> None:
        """Put an object there, not through the store."""
        self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=body,
            Metadata=metadata or {},
            ChecksumAlgorithm="SHA256" if checksum else "CRC32",
            StorageClass="GLACIER" if archived else "STANDARD",
        )


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator with a real HTTP server in it."""
    with run_emulator(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator.endpoint


@pytest.fixture(scope="session")
def testkit_s3() -> Iterator[str]:
    """The server of ``testkit``, which benchmarks are made on."""
    with s3_server(page_size=PAGE_SIZE) as server:
        yield server.endpoint


@pytest.fixture(scope="session")
def ceph_like_s3() -> Iterator[str]:
    """A server that takes bare ETags alone, and ignores the conditions of completions."""
    with s3_server(page_size=PAGE_SIZE, deviations=USABLE["as-ceph"].deviations) as server:
        yield server.endpoint


WORLDS = [
    *("memory", "prefixed", "moto", "moto-as-probed", "testkit", "ceph-like"),
    pytest.param("ministack", marks=pytest.mark.e2e),
    "seaweedfs",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On every store, or on the one server that is asked for."""
    if "world" in metafunc.fixturenames:
        is_ceph = metafunc.config.getoption("--s3") == "ceph"
        metafunc.parametrize("world", ["ceph"] if is_ceph else WORLDS, indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    match request.param:
        case "memory":
            yield MemoryWorld()
        case "prefixed":
            yield PrefixedWorld()
        case "moto" | "moto-as-probed" as name:
            is_probed = name == "moto-as-probed"
            writes = (
                ConditionalWrites(completion_is_conditional=False)
                if is_probed
                else AWS_CONDITIONAL_WRITES
            )
            monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", str(PAGE_SIZE))
            request.getfixturevalue("moto")
            yield S3World(
                BUCKET,
                gives_checksum_type=False,
                writes=writes,
                minds_conditions_on_parts=is_probed,
            )
        case "testkit" | "ceph-like" | "ministack" as name:
            fixture = {"testkit": "testkit_s3", "ceph-like": "ceph_like_s3"}.get(name, name)
            monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue(fixture))
            bucket = f"{BUCKET}-{uuid.uuid4().hex[:8]}"
            found = USABLE["as-ceph"].expected if name == "ceph-like" else AWS_CONDITIONAL_WRITES
            yield S3World(bucket, writes=found or AWS_CONDITIONAL_WRITES)
        case "seaweedfs" | "ceph":
            server: RealServer = request.getfixturevalue("real_s3")
            for variable, value in server.environment.items():
                monkeypatch.setenv(variable, value)
            yield S3World(
                f"{BUCKET}-{uuid.uuid4().hex[:8]}",
                writes=request.getfixturevalue("real_s3_writes"),
                gives_checksum_type=False,
                archives=False,
                page_size=1000,
            )


@pytest.fixture(scope="session")
def real_s3_writes(real_s3: RealServer) -> ConditionalWrites:
    """What a probe takes the server for."""
    bucket = f"{BUCKET}-probe-{uuid.uuid4().hex[:8]}"
    real_s3.client.create_bucket(Bucket=bucket)
    store = S3Store(real_s3.sluice_client, bucket)
    probe = ConditionalWriteProbe(store, real_s3.name, lambda: uuid.uuid4().hex)
    return probe.probe_all()


@pytest.fixture
def store(world: World) -> ObjectStore:
    return world.store
