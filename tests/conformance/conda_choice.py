"""What conda chooses for ``current_repodata.json``: conda-index, run with conda's own source.

The package index for Python has conda only in versions of long ago, so ``CONDA_SOURCE`` names a
checkout of it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

_ROOT = Path(__file__).parents[2]
_PYTHON = _ROOT / ".venv-conda" / "bin" / "python"
_RUNNER = _ROOT / "testkit" / "run_conda_choice.py"
READERS = {"libmamba": "default", "rattler": "for revision 3"}
"""conda's two readers of match specs, by the solver that it takes them for."""


class CondaMissing(Exception):
    """There is no conda to compare with; the text says what to do."""


class Choice(msgspec.Struct, frozen=True):
    """What conda-index made of a channel."""

    chosen: list[str]
    """Filenames, sorted."""
    rejected: list[str]
    """Match specs that conda rejects, sorted; the choice was made without them."""


class CondaSource(NamedTuple):
    """A checkout of conda."""

    folder: Path
    commit: str


def conda_source(environment: Mapping[str, str]) -> CondaSource:
    """The checkout that ``CONDA_SOURCE`` names; raises ``CondaMissing``."""
    named = environment.get("CONDA_SOURCE")
    if not named:
        raise CondaMissing(
            "CONDA_SOURCE is not set: clone https://github.com/conda/conda, and run"
            " make conda-conformance CONDA_SOURCE=<folder of the clone>"
        )
    folder = Path(named)
    if not (folder / "conda" / "models" / "match_spec.py").is_file():
        raise CondaMissing(
            f"CONDA_SOURCE names {named}, which is no checkout of conda: it has no"
            " conda/models/match_spec.py; name the folder of a clone"
        )
    done = subprocess.run(
        ["git", "-C", folder, "rev-parse", "HEAD"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise CondaMissing(
            f"CONDA_SOURCE names {named}, of which git knows no commit, and the page is to name it:"
            " name the folder of a clone"
        )
    return CondaSource(folder, done.stdout.strip())


def choices(
    channels: Sequence[Mapping[str, Any]], source: CondaSource, *, solver: str
) -> list[Choice]:
    """What conda-index chooses of each channel, with the reader of a solver in ``READERS``.

    Raises ``CondaMissing`` if its environment was not made, and ``RuntimeError`` if it fails.
    """
    if not _PYTHON.exists():
        raise CondaMissing(f"{_PYTHON.parents[1]} is missing: run make conda-conformance")
    with TemporaryDirectory() as home:
        done = subprocess.run(
            [_PYTHON, "-P", _RUNNER],
            check=False,
            capture_output=True,
            text=True,
            input=json.dumps(channels),
            env={
                "CONDARC": os.devnull,
                "CONDA_SOLVER": solver,
                "HOME": home,
                "PATH": os.defpath,
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONHASHSEED": "0",
                "PYTHONPATH": str(source.folder),
            },
        )
    if done.returncode:
        raise RuntimeError(f"conda-index failed: {done.stderr}")
    return msgspec.json.decode(done.stdout, type=list[Choice])
