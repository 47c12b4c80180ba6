"""The program ``sluice`` as ``pip install ./layers/sluice`` makes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "layers" / "sluice"


@dataclass(frozen=True)
class ProgramResult:
    """How one call of the program ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer, where it is JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Program:
    """The program in a folder of its own; what it imports beside itself is this environment's."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> Program:
        """Have pip build the package and install it, without asking for anything else."""
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        asked = ["--no-deps", "--no-build-isolation", "--target", str(folder), str(SOURCE)]
        subprocess.run([*pip, *asked], check=True)
        return cls(folder)

    @property
    def path(self) -> Path:
        """Of the program."""
        return self.folder / "bin" / "sluice"

    def run(self, *arguments: str, environment: Mapping[str, str]) -> ProgramResult:
        """Call it, with nothing in its environment but what is given."""
        with self.start(*arguments, environment=environment) as process:
            out, err = process.communicate()
        return ProgramResult(process.returncode, out, err)

    def start(self, *arguments: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """The same, without waiting for its end."""
        return subprocess.Popen(
            [self.path, *arguments],
            env={"PATH": os.defpath, "PYTHONPATH": str(self.folder), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
