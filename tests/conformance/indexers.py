"""Three indexers, each run from beginning to end over the same channel.

sluice in memory, rattler-index through py-rattler, and conda-index in a process of its own, see
``run_conda_index.py``.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import rattler
import rattler.index
from rattler import Config

from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.layout import config_key
from testkit.channel import PATCHES, Package
from testkit.system import System

NOW_MS = 1_750_000_000_000
"""When sluice indexes."""
_ROOT = Path(__file__).parents[2]
CONDA_INDEX = _ROOT / ".venv-conda-index"
_REQUIREMENTS = _ROOT / "requirements"
_CHANNEL = "team"
_RUNNER = _ROOT / "testkit" / "run_conda_index.py"


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be indexed, and how."""

    packages: Sequence[Package]
    patch: Package | None = None
    """A package of the channel that is to patch it."""
    before: Mapping[str, bytes] = field(default_factory=dict)
    """Files that lie there already, by path."""
    index_config: str = ""
    """The table that sluice and rattler-index have in common, in TOML."""
    sluice: str = ""
    """sluice's own table."""
    conda_index: Mapping[str, Any] = field(default_factory=dict)
    """Options of conda-index, but for those that only say which files it writes: it has all."""

    @property
    def files(self) -> dict[str, bytes]:
        """All that lies there, by path."""
        packages = [*self.packages, *([self.patch] if self.patch else [])]
        return {**self.before, **{package.path: package.body for package in packages}}


class Outcome(NamedTuple):
    """What an indexer made of it."""

    files: Mapping[str, bytes]
    """All that it published, by path."""
    error: str | None = None
    """Why it gave up."""


def sluice(task: Task, _folder: Path) -> Outcome:
    """Upload, extract, merge and publish."""
    system = System(NOW_MS)
    system.upload({f"{_CHANNEL}/{path}": body for path, body in task.files.items()})
    patches = f'patches = "{PATCHES}"\n' if task.patch else ""
    settings = f"[index-config]\n{task.index_config}\n[sluice]\n{patches}{task.sluice}\n"
    system.upload({config_key(_CHANNEL): settings.encode()})
    for path in task.files:
        if path.endswith(PACKAGE_SUFFIXES):
            system.extract(f"{_CHANNEL}/{path}")
    system.merger.config_broadcast.notify_all(_CHANNEL)
    system.run_until_idle()
    published = {
        key.removeprefix(f"{_CHANNEL}/"): system.channel.body(key)
        for key in system.channel.objects
        if key != config_key(_CHANNEL)
    }
    return Outcome(_without_packages(published))


def rattler_index(task: Task, folder: Path) -> Outcome:
    """What ``rattler-index fs`` does."""
    _write(task, folder)
    error = None
    config = Config.from_toml(f"[index-config]\n{task.index_config}\n")
    patch = task.patch.filename if task.patch else None
    try:
        asyncio.run(rattler.index.index_fs(folder, repodata_patch=patch, config=config))
    except Exception as raised:  # noqa: BLE001  # it has no class of its own for what it refuses
        error = str(raised)
    return Outcome(_read(folder), error)


def conda_index(task: Task, folder: Path) -> Outcome:
    """What ``python -m conda_index`` does, as far as it does without conda."""
    _write(task, folder)
    options = dict(task.conda_index)
    if task.patch:
        options["patch_generator"] = str(folder / task.patch.path)
    done = subprocess.run(
        [CONDA_INDEX / "bin" / "python", "-P", _RUNNER, folder, json.dumps(options)],
        check=False,
        capture_output=True,
        text=True,
    )
    return Outcome(_read(folder), done.stderr.strip() if done.returncode else None)


INDEXERS: Mapping[str, Callable[[Task, Path], Outcome]] = {
    "sluice": sluice,
    "rattler-index": rattler_index,
    "conda-index": conda_index,
}


def _write(task: Task, folder: Path) -> None:
    (folder / "noarch").mkdir(parents=True)
    for path, body in task.files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(body)


def _read(folder: Path) -> dict[str, bytes]:
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts[-2:])
    }
    return _without_packages(found)


def _without_packages(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {path: body for path, body in files.items() if not path.endswith(PACKAGE_SUFFIXES)}


def versions() -> dict[str, str]:
    """The versions of the other two."""
    pinned = (_REQUIREMENTS / "conda-index.txt").read_text()
    found = re.search(r"^conda-index==(\S+)", pinned, re.MULTILINE)
    assert found
    return {"rattler": rattler.__version__, "conda_index": found[1]}
