"""``upload.py`` of the GitHub action, which uploads each package once, with its digests."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from testkit.channel import Package
from testkit.child_process import ROOT
from tests.servers.conftest import Operator
from tests.support.standalone_channel import package

SCRIPT = ROOT / "deploy" / "github-action" / "upload.py"
LIB, PURE = package("lib"), package("pure", subdir="noarch")


def upload(
    operator: Operator, folder: Path, *packages: Package
) -> subprocess.CompletedProcess[str]:
    paths = []
    for one in packages:
        path = folder / one.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(one.body)
        paths.append(str(path))
    return subprocess.run(
        [sys.executable, SCRIPT, f"s3://{operator.bucket}/team", *paths],
        env={**os.environ, **operator.server.environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_packages_are_uploaded_with_digests_and_named_for_those_who_wait(
    operator: Operator, tmp_path: Path
) -> None:
    done = upload(operator, tmp_path, LIB, PURE)
    assert (done.returncode, done.stdout.split()) == (0, [LIB.path, PURE.path]), done.stderr
    stored = operator.server.client.head_object(Bucket=operator.bucket, Key=f"team/{LIB.path}")
    assert stored["Metadata"]["package-sha256"] == sha256(LIB.body).hexdigest()
    operator.call("index")
    assert operator.index_of("linux-64").digests == {LIB.filename: sha256(LIB.body).hexdigest()}
    operator.call("wait", *done.stdout.split(), "--timeout", "5")


def test_the_same_package_again_is_fine_and_another_one_is_not_overwritten(
    operator: Operator, tmp_path: Path
) -> None:
    assert upload(operator, tmp_path, LIB).returncode == 0
    again = upload(operator, tmp_path, LIB)
    assert (again.returncode, again.stdout.split()) == (0, [LIB.path])
    assert "already exists" in again.stderr
    other = Package("linux-64", LIB.filename, package("lib", depends=["pure"]).body)
    refused = upload(operator, tmp_path, other, PURE)
    assert (refused.returncode, refused.stdout.split()) == (1, [PURE.path])
    assert f"{LIB.path}: a different package" in refused.stderr
    assert operator.read(f"team/{LIB.path}") == LIB.body


def test_what_cannot_be_meant_is_a_usage_error(operator: Operator, tmp_path: Path) -> None:
    assert upload(operator, tmp_path).returncode == 2
