"""The servers of others end with the tests, and say why they cannot begin."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.credentials import Credentials

from sluice.errors import Unavailable
from sluice.storage.s3_client import Endpoint, make_s3_client
from sluice.storage.s3_store import S3Store
from testkit.child_process import ROOT
from testkit.http1 import LOOPBACK
from testkit.real_s3 import ceph
from testkit.real_s3.seaweedfs import run_seaweedfs
from testkit.real_s3.server import ServerError, daemons, free_ports, wait_until

SENTENCE = "Ceph is not installed, and installing it takes root and apt-get"


def test_seaweedfs_knows_its_user_ends_with_the_context_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ports = free_ports(8)
    monkeypatch.setattr("testkit.real_s3.seaweedfs.free_ports", lambda _count: ports)
    with run_seaweedfs() as server:
        server.client.create_bucket(Bucket="channel")
        nobody = make_s3_client(
            Endpoint(server.region, server.endpoint), Credentials("nobody", "nothing")
        )
        with pytest.raises(Unavailable, match="InvalidAccessKeyId"):
            S3Store(nobody, "channel").get("k")
    for port in ports:
        with pytest.raises(ConnectionRefusedError), socket.create_connection((LOOPBACK, port)):
            pass
        assert not [*Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]  # noqa: S108 - its own choice


def test_a_server_that_ends_by_itself_says_why(tmp_path: Path) -> None:
    with daemons(tmp_path) as start:
        daemon = start(["/bin/sh", "-c", "echo broken; exit 3"])
        with pytest.raises(ServerError, match=r"^sh has ended by itself:\nbroken$"):
            wait_until(lambda: False, "nothing", [daemon])


def test_a_server_that_does_not_get_ready_says_for_what_it_was_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testkit.real_s3.server._READY_SECONDS_MAX", 1.0)
    with daemons(tmp_path) as start:
        daemon = start(["/bin/sh", "-c", "echo waiting; exec sleep 600"])
        with pytest.raises(ServerError, match=r"^waited 1 s in vain for an answer:\nwaiting$"):
            wait_until(lambda: False, "an answer", [daemon])


def test_free_ports_differ() -> None:
    assert len({*free_ports(20)}) == 20


def test_ceph_is_not_installed_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = {"apt-get": "/usr/bin/apt-get"}
    monkeypatch.setattr(ceph, "which", programs.get)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServerError, match=f"^{re.escape(SENTENCE)}$"):
        ceph.install()


def test_where_ceph_cannot_be_installed_that_is_an_error_and_no_skip(tmp_path: Path) -> None:
    variables = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": f"{ROOT}/layers/sluice"}
    ended = subprocess.run(
        [sys.executable, "-m", "testkit.real_s3.ceph"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"{SENTENCE}\n")


def test_a_ceph_that_is_not_there_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match=r"radosgw.* cannot be run; make ceph installs Ceph"):  # noqa: SIM117
        with ceph.run_ceph():
            pass
