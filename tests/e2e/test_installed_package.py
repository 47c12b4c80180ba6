"""``conda-sluice`` as people get it: a wheel in an environment that has nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.release.distribution import build_distribution
from sluice import __version__
from testkit.s3_server.process import S3Server, s3_server
from tests.support.standalone_channel import package
from tests.support.template import ROOT

BUCKET, STATE = "my-bucket", "my-bucket-state"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by venv and pip, which take the dependencies from wherever pip is configured to.

    Their versions are those that everything else here is tested with: what is newest today must
    not decide whether this passes.
    """
    folder = tmp_path_factory.mktemp("installed")
    wheel = build_distribution(folder / "dist").wheel
    pins = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(re.findall(r"^[a-z0-9-]+==[^ ;\\]+", pins, re.MULTILINE)))
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    options = ["--no-compile", "--only-binary=:all:", "--constraint", str(constraints)]
    subprocess.run([*pip, *options, str(wheel)], check=True)
    return folder / "venv"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        for bucket in (BUCKET, STATE):
            running.create(bucket)
        yield running


def run(environment: Path, server: S3Server, program: str, *arguments: str) -> str:
    """Call a program of the environment; its output."""
    variables = {
        "PATH": os.defpath,
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "SLUICE_STATE": STATE,
    }
    ran = subprocess.run(
        [environment / "bin" / program, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("program", ["sluice", "conda-sluice"])
def test_both_programs_say_the_version(environment: Path, server: S3Server, program: str) -> None:
    assert run(environment, server, program, "--version") == f"{__version__}\n"


def test_it_indexes_a_channel_on_an_s3(environment: Path, server: S3Server) -> None:
    lib, pure = package("lib"), package("pure", subdir="noarch")
    server.load([BUCKET], [(f"team/{one.path}", one.body) for one in (lib, pure)])
    out = run(environment, server, "sluice", "index", f"s3://{BUCKET}/team")
    assert out.startswith("2 packages, 2 of them read.")
    assert lib.filename.encode() in server.read(BUCKET, "team/linux-64/repodata.json")
    assert "published" in run(environment, server, "sluice", "status", f"s3://{BUCKET}/team")
    assert "No differences." in run(environment, server, "sluice", "verify", f"s3://{BUCKET}/team")


def test_it_is_a_typed_python_api(environment: Path, server: S3Server) -> None:
    script = "import pathlib, sluice; print(sluice.__version__, sluice.open_channel.__module__); "
    script += "print((pathlib.Path(sluice.__file__).parent / 'py.typed').is_file())"
    out = run(environment, server, "python", "-c", script)
    assert out == f"{__version__} sluice.admin.session.connect\nTrue\n"
