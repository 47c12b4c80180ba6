"""The package ``conda-sluice``: a wheel and an sdist."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from local.release.errors import BuildError
from local.stack import ROOT

SOURCE = ROOT / "layers" / "sluice"
_FIXED_EPOCH = "1577836800"
"""2020-01-01, where there is no commit to take the time from: in an archive of the source."""


class Distribution(NamedTuple):
    """What was built."""

    wheel: Path
    sdist: Path


def build_distribution(folder: Path) -> Distribution:
    """Build both; raises ``BuildError``.

    The backend is the one that is pinned here, so nothing is downloaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)],
        cwd=SOURCE,
        env={**os.environ, "SOURCE_DATE_EPOCH": source_date_epoch(os.environ)},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise BuildError(f"conda-sluice: {built.stderr}")
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Distribution(wheel, sdist)


def source_date_epoch(environment: Mapping[str, str]) -> str:
    """The time that files get: as the environment says, or the commit's, or a fixed one."""
    if given := environment.get("SOURCE_DATE_EPOCH"):
        return given
    git_log = subprocess.run(
        ["git", "log", "-1", "--format=%ct"],  # noqa: S607 - git, wherever it is
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=False,
    )
    return git_log.stdout.strip() if git_log.returncode == 0 else _FIXED_EPOCH
