"""Indexing through real clients, in threads and in processes, with S3 over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import pytest

from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import open_channel
from sluice.admin.standalone.index import index
from sluice.admin.standalone.package_pool import ProcessReaders
from sluice.admin.standalone.reader_choice import choose_readers
from sluice.admin.verify.verify import verify
from testkit.channel import Package
from testkit.s3_server.process import S3Server, s3_server
from tests.support.standalone_channel import package

PACKAGES = [package(f"p{number % 7}", f"{number}") for number in range(60)]
BAD = Package("linux-64", "bad-1.0-0.conda", b"no zip")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server(page_size=20) as server:
        yield server


@pytest.fixture
def channel(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Channel:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = request.node.originalname.replace("_", "-")[-50:]
    files = ((f"team/{one.path}", one.body) for one in [*PACKAGES, BAD])
    server.load([bucket], files)
    server.create(f"{bucket}-state")
    return open_channel(f"s3://{bucket}/team", state=f"{bucket}-state")


def test_in_threads(channel: Channel) -> None:
    report = index(channel)
    assert (report.packages, report.read, report.failures) == (61, 61, [])
    assert report.subdirs[0].rejected == 1
    assert verify(channel, deep=True).findings == []
    assert index(channel).read == 0


def test_in_processes(channel: Channel) -> None:
    readers = choose_readers(Aws(), channel, processes=2)
    assert isinstance(readers, ProcessReaders)
    report = index(channel, readers=replace(readers, min_packages=10))
    assert (report.packages, report.read, report.failures) == (61, 61, [])
    assert verify(channel, deep=True).findings == []


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells")
def test_a_process_for_each_core_that_may_be_used(channel: Channel) -> None:
    for cores in (1, 5):
        with mock.patch("os.sched_getaffinity", return_value=set(range(cores))):
            readers = choose_readers(Aws(), channel)
        assert isinstance(readers, ProcessReaders)
        assert readers.processes == cores
