"""What every test stands on: no test ever reaches a real AWS account."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from testkit.real_s3.server import RealServer

# The same cases every time, however fast the machine is; more with --hypothesis-profile=thorough.
settings.register_profile(
    "bounded",
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("bounded"), max_examples=2000)


_OBJECTS_PER_COLLECTION = 100_000
"""Of Python's garbage: a tenth of all CPU time goes into looking for it otherwise."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--s3",
        choices=["seaweedfs", "ceph"],
        default="seaweedfs",
        help="the S3 server of others that tests run on; ceph: on that one alone (make ceph)",
    )


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    settings.load_profile(config.getoption("--hypothesis-profile") or "bounded")


@pytest.fixture(autouse=True)
def _dummy_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SQS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def real_s3(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """The server of ``--s3``; a test uses buckets of its own."""
    from testkit.real_s3.ceph import run_ceph  # noqa: PLC0415 - most modules do without
    from testkit.real_s3.seaweedfs import run_seaweedfs  # noqa: PLC0415 - the same

    run = run_ceph if request.config.getoption("--s3") == "ceph" else run_seaweedfs
    with run() as server:
        yield server


@pytest.fixture(scope="module")
def _moto_started() -> Iterator[None]:
    from tests.support.moto_aws import moto_started  # noqa: PLC0415 - most modules do without

    with moto_started():
        yield


@pytest.fixture
def moto(_moto_started: None) -> Iterator[None]:
    """An AWS that has nothing, in the place of the real one."""
    from tests.support.moto_aws import moto_aws  # noqa: PLC0415 - the same

    with moto_aws():
        yield
