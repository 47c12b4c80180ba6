"""The virtual environments of the Makefile: when they are made, and what is never cleared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path("requirements") / "environment.py"
DIGEST = ".requirements-digest"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with requirements that need no package index."""
    folder = tmp_path / "clone"
    (folder / "requirements").mkdir(parents=True)
    (folder / SCRIPT).write_bytes((ROOT / SCRIPT).read_bytes())
    (folder / "requirements" / "dev.txt").write_text("# nothing\n")
    return folder


def ensure(clone: Path, folder: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, folder, "requirements/dev.txt"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_environment_is_made_once_whatever_the_times_of_files(clone: Path) -> None:
    first = ensure(clone, ".venv")
    assert (first.returncode, "Creating" in first.stdout) == (0, True), first.stderr
    (clone / ".venv" / "of-mine").touch()
    os.utime(clone / "requirements" / "dev.txt")
    second = ensure(clone, ".venv")
    assert (second.returncode, second.stdout) == (0, "")
    assert (clone / ".venv" / "of-mine").exists()


def test_other_requirements_make_it_again(clone: Path) -> None:
    assert ensure(clone, ".venv").returncode == 0
    (clone / ".venv" / "of-mine").touch()
    (clone / "requirements" / "dev.txt").write_text("# something else\n")
    again = ensure(clone, ".venv")
    assert (again.returncode, "Creating" in again.stdout) == (0, True)
    assert not (clone / ".venv" / "of-mine").exists()


@pytest.mark.parametrize("linked", [False, True])
def test_what_lies_outside_of_the_clone_is_never_cleared(
    clone: Path,
    tmp_path: Path,
    linked: bool,  # noqa: FBT001 - of the test
) -> None:
    outside = tmp_path / "outside"
    assert ensure(clone, outside).returncode == 0  # it was not there
    (outside / "of-somebody").touch()
    place: Path = outside
    if linked:
        place = clone / ".venv"
        place.symlink_to(outside)
    assert ensure(clone, place).returncode == 0
    (clone / "requirements" / "dev.txt").write_text("# something else\n")
    refused = ensure(clone, place)
    assert refused.returncode == 1
    assert "so it is not cleared" in refused.stderr
    assert (outside / "of-somebody").exists()


def test_an_environment_of_somebody_else_is_used_as_it_is(clone: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "of-somebody").touch()
    used = ensure(clone, outside)
    assert (used.returncode, "is used as it is" in used.stderr) == (0, True)
    assert sorted(path.name for path in outside.iterdir()) == ["of-somebody"]


def test_one_that_was_interrupted_is_made_again(clone: Path) -> None:
    assert ensure(clone, ".venv").returncode == 0
    (clone / ".venv" / DIGEST).unlink()
    assert "Creating" in ensure(clone, ".venv").stdout


def test_make_decides_by_the_digest_and_not_by_times() -> None:
    text = (ROOT / "Makefile").read_text()
    assert "--clear" not in text
    assert "venv: $(VENV)/.current" in text
