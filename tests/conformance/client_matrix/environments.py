"""The environments of the clients, each made from its requirements when these are newer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.client_matrix.clients import (
    ENVIRONMENTS,
    NPM,
    REQUIREMENTS,
    CannotRunError,
)

_PIP = "install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes"
_NPM_FILES = ("package.json", "package-lock.json", ".npmrc")


def prepare(environment: str) -> None:
    """Make an environment, unless it is there and as its requirements say.

    Raises ``CannotRunError``, with the last that the installer said.
    """
    folder = ENVIRONMENTS / environment
    stamp = folder / ".stamp"
    wanted = [REQUIREMENTS / name for name in _NPM_FILES]
    if environment != NPM:
        wanted = [REQUIREMENTS / f"{environment}.txt"]
    state = "".join(path.read_text() for path in wanted)
    if stamp.is_file() and stamp.read_text() == state:
        return
    print(f"Creating {folder.name} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    if environment == NPM:
        _make_of_npm(folder, wanted)
    else:
        _run([sys.executable, "-m", "venv", str(folder)], ENVIRONMENTS.parent)
        python = str(folder / "bin" / "python")
        _run([python, "-m", "pip", *_PIP.split(), "-r", str(wanted[0])], folder)
    stamp.write_text(state)


def _make_of_npm(folder: Path, wanted: Sequence[Path]) -> None:
    if not (shutil.which("npm") and shutil.which("node")):
        raise CannotRunError(
            "npm's clients need node and npm, which are not on the PATH: install them, or leave "
            "these clients out of CLIENTS"
        )
    folder.mkdir(parents=True)
    for path in wanted:
        shutil.copy(path, folder)
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise CannotRunError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
