"""Checks a release with standard tools, from the environment of ``requirements/release.in``."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

_VALIDATE = """\
import pathlib, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(pathlib.Path(sys.argv[1]).read_text())
sys.exit(error and str(error))
"""
# W002, duplicate files: the licence of the decoder has to be beside it and in the metadata.
_DUPLICATES = "W002"


def check_release(folder: Path, tools: Path) -> list[str]:
    """What is wrong with the package and the bill of materials; ``tools`` is the environment."""
    return [problem for command in _commands(folder, tools / "bin") for problem in _run(command)]


def _commands(folder: Path, programs: Path) -> Iterator[Sequence[str]]:
    package = [str(path) for path in sorted(folder.glob("conda_sluice-*"))]
    wheel = [path for path in package if path.endswith(".whl")]
    (bill,) = (str(path) for path in folder.glob("*.cdx.json"))
    yield [str(programs / "twine"), "check", "--strict", *package]
    yield [str(programs / "check-wheel-contents"), "--ignore", _DUPLICATES, *wheel]
    yield [str(programs / "python"), "-c", _VALIDATE, bill]


def _run(command: Sequence[str]) -> Iterator[str]:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        yield f"{Path(command[0]).name}: {(ran.stdout + ran.stderr).strip()}"
