"""What Lambda runs, as zips: the three functions, and a layer for each Python and processor."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from local.release.archives import files_below, write_zip
from local.release.errors import BuildError
from local.stack import ROOT

FUNCTIONS = ("extract", "merge", "reconcile")
_FOLDER_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Target:
    """What the functions of a stack run on: two parameters of the template."""

    runtime: str
    architecture: str

    @property
    def layer(self) -> str:
        """The name of its layer's zip; the packaged template derives the same one."""
        return f"layer-{self.runtime}-{self.architecture}.zip"


def function_zip(name: str) -> str:
    """The name of a function's zip."""
    return f"{name}.zip"


def build_function_zips(folder: Path) -> None:
    """Write the zip of each function."""
    source = ROOT / "functions"
    for name in FUNCTIONS:
        files = {"app.py": source / name / "app.py", "entry.py": source / "entry.py"}
        write_zip(folder / function_zip(name), files)


def build_layer_zip(folder: Path, target: Target, *, wheels: str) -> bool:
    """Write the zip of a layer; ``False`` where it has no bytecode.  Raises ``BuildError``.

    Bytecode needs the Python of the target on this machine.  ``wheels`` is for the layer's
    Makefile: ``lambda``, or ``host`` for this machine's own.
    """
    with tempfile.TemporaryDirectory() as layer:
        _build_layer(Path(layer), target, wheels)
        files = files_below(Path(layer))
        write_zip(folder / target.layer, files)
    return any(name.endswith(".pyc") for name in files)


def release_digest(folder: Path) -> str:
    """A digest of all zips.

    It names the folder of a release in the code bucket.  So no upload ever replaces the code of
    another one, a new release changes the key of everything, and CloudFormation notices.
    """
    digest = sha256()
    for path in _zips(folder):
        digest.update(path.name.encode() + b"\0" + sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:_FOLDER_DIGITS]


def _zips(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("*.zip"))


def _build_layer(folder: Path, target: Target, wheels: str) -> None:
    made = subprocess.run(
        [
            *("make", "--silent", "--directory", str(ROOT / "layers" / "sluice")),
            "build-SluiceLayer",
            f"ARTIFACTS_DIR={folder}",
            f"SLUICE_PYTHON={sys.executable}",
            f"SLUICE_RUNTIME={target.runtime}",
            f"SLUICE_ARCHITECTURE={target.architecture}",
            f"SLUICE_WHEELS={wheels}",
        ],
        # A release is made by make, too, whose flags are not for this one.
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        tail = "\n".join((made.stdout + made.stderr).splitlines()[-15:])
        raise BuildError(f"the layer of {target.runtime} on {target.architecture}:\n{tail}")
