"""The clients, each with its environment and the commands that solve and install with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.client_matrix.channels import BUCKET, REGION, ROOT, SPEC, s3_variables

ENVIRONMENTS = ROOT / ".venv-clients"
NPM = "npm"
"""The environment of what npm has."""
REQUIREMENTS = ROOT / "requirements" / "clients"
CONDA_SOURCE = "CONDA_SOURCE"
"""The variable that names a checkout of conda's source."""
_DRIVERS = Path(__file__).parent / "drivers"
_PLATFORM = "linux-64"


@dataclass(frozen=True, slots=True)
class Task:
    """One solve and one install."""

    url: str
    home: Path
    """An empty folder: all that the client writes goes there."""
    endpoint: str
    """Of S3."""
    authority: Path
    """The certificate to trust."""

    @property
    def prefix(self) -> Path:
        """Where the packages are to be."""
        return self.home / "prefix"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a client: nothing of ours, no channel but the one, and no cache."""
        trust = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CONDA_SSL_VERIFY")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "NO_PROXY": "localhost,127.0.0.1",
            "LANG": "C.UTF-8",
            **s3_variables(self.endpoint),
            **dict.fromkeys(trust, str(self.authority)),
        }


Commands = Callable[[Task], Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Client:
    """A client in one version."""

    name: str
    version: str
    from_where: str
    """As the page says it."""
    environment: str
    """The name of its folder and its requirements."""
    commands: Commands
    installs: bool = True
    """Whether it installs: one that does not prints the filenames that it solved."""
    variables: Callable[[Task], Mapping[str, str]] = field(default=lambda _task: {})


class CannotRunError(Exception):
    """The clients cannot be run as asked; the message says what to do."""


def _python(environment: str) -> str:
    return str(ENVIRONMENTS / environment / "bin" / "python")


# --- py-rattler and @conda-org/rattler --------------------------------------------------------


def py_rattlers() -> Iterator[Client]:
    """Every version that has requirements of its own, the newest first."""
    found = [
        path.stem.removeprefix("py-rattler-") for path in REQUIREMENTS.glob("py-rattler-*.txt")
    ]
    for version in sorted(found, key=lambda one: [int(part) for part in one.split(".")])[::-1]:
        yield _py_rattler(version)


def _py_rattler(version: str) -> Client:
    environment = f"py-rattler-{version}"

    def commands(task: Task) -> list[list[str]]:
        where = [task.url, SPEC, str(task.home / "caches"), str(task.prefix)]
        driver = str(_DRIVERS / "py_rattler.py")
        return [[_python(environment), driver, *where, BUCKET, task.endpoint, REGION]]

    return Client("py-rattler", version, "PyPI", environment, commands)


def js_rattler() -> Iterator[Client]:
    """The one version that is pinned."""
    package = "@conda-org/rattler"
    pinned = json.loads((REQUIREMENTS / "package.json").read_text())["dependencies"]

    def commands(task: Task) -> list[list[str]]:
        driver = str(_DRIVERS / "rattler.cjs")
        return [["node", driver, str(ENVIRONMENTS / NPM), task.url, SPEC]]

    yield Client(package, pinned[package], "npm", NPM, commands, installs=False)


# --- conda, and what runs beside it -----------------------------------------------------------


def conda_source() -> Path:
    """The checkout that ``CONDA_SOURCE`` names; raises ``CannotRunError``."""
    named = os.environ.get(CONDA_SOURCE, "")
    if not (Path(named) / "conda" / "__main__.py").is_file() or not named:
        raise CannotRunError(
            f"{CONDA_SOURCE} names no checkout of conda's source: {named or 'it is not set'}. "
            "Registries have conda only in versions of long ago, so clone github.com/conda/conda "
            f"and name the folder: make clients {CONDA_SOURCE}=../conda. To leave out conda and "
            'what needs it: make clients CLIENTS="py-rattler @conda-org/rattler"'
        )
    return Path(named).resolve()


def conda_version() -> str:
    """The last release in the checkout's changelog, and its commit; raises ``CannotRunError``."""
    source = conda_source()
    release = re.search(r"^## (\d\S*)", (source / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert release, "conda's changelog has no release"
    return f"{release[1]} and after, `{_commit(source)[:10]}`"


def _commit(source: Path) -> str:
    if not (source / ".git").exists():  # else git would answer for a repository around it
        raise CannotRunError(
            f"{source} is no clone, so nobody can say which commit it is: clone github.com/"
            f"conda/conda and name that folder in {CONDA_SOURCE}"
        )
    asked = subprocess.run(
        ["git", "-C", source, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return asked.stdout.strip()


def _conda(environment: str) -> list[str]:
    return [_python(environment), "-m", "conda"]


def _conda_variables(solver: str) -> Callable[[Task], Mapping[str, str]]:
    def variables(task: Task) -> Mapping[str, str]:
        return {
            "PYTHONPATH": str(conda_source()),
            "CONDA_PKGS_DIRS": str(task.home / "packages"),
            "CONDA_ENVS_DIRS": str(task.home / "environments"),
            "CONDA_SUBDIR": _PLATFORM,
            "CONDA_SOLVER": solver,
            "CONDA_REPORT_ERRORS": "false",
        }

    return variables


def _conda_create(environment: str) -> Commands:
    def commands(task: Task) -> list[list[str]]:
        options = ["--yes", "--quiet", "--prefix", str(task.prefix), "--override-channels"]
        return [[*_conda(environment), "create", *options, "--channel", task.url, SPEC]]

    return commands


def conda() -> Iterator[Client]:
    """conda with the solver that it brings itself."""
    environment = "conda"
    yield Client(
        environment,
        conda_version(),
        "its source",
        environment,
        _conda_create(environment),
        variables=_conda_variables("classic"),
    )


def conda_rattler_solver() -> Iterator[Client]:
    """conda with rattler's solver."""
    environment = "conda-rattler-solver"
    yield Client(
        environment,
        _pinned(environment),
        f"PyPI, beside conda {conda_version()}",
        environment,
        _conda_create(environment),
        variables=_conda_variables("rattler"),
    )


def conda_lock() -> Iterator[Client]:
    """conda-lock, which has conda solve and install."""
    environment = "conda-lock"

    def commands(task: Task) -> list[list[str]]:
        wanted, lock = task.home / "environment.yml", task.home / "conda-lock.yml"
        wanted.write_text(f"channels: [{task.url}]\ndependencies: [{SPEC}]\n")
        program = task.home / "conda"
        program.write_text(f'#!/bin/sh\nexec {" ".join(_conda(environment))} "$@"\n')
        program.chmod(0o755)
        call = [_python(environment), "-m", "conda_lock"]
        conda = ["--conda", str(program), "--no-mamba"]
        return [
            [*call, "lock", *conda, "-f", str(wanted), "-p", _PLATFORM, "--lockfile", str(lock)],
            [*call, "install", *conda, "--prefix", str(task.prefix), str(lock)],
        ]

    yield Client(
        environment,
        _pinned(environment),
        f"PyPI, beside conda {conda_version()}",
        environment,
        commands,
        variables=_conda_variables("classic"),
    )


def _pinned(name: str) -> str:
    pinned = re.search(rf"^{name}==(\S+)", (REQUIREMENTS / f"{name}.txt").read_text(), re.MULTILINE)
    assert pinned
    return pinned[1]


ALL: Mapping[str, Callable[[], Iterator[Client]]] = {
    "py-rattler": py_rattlers,
    "conda": conda,
    "conda-rattler-solver": conda_rattler_solver,
    "conda-lock": conda_lock,
    "@conda-org/rattler": js_rattler,
}
"""The clients by the name that ``CLIENTS`` has for them."""
NOT_HAD = {
    "pixi": "none of PyPI, npm and Debian has it (PyPI's `pixi` is another one)",
    "mamba, micromamba": "none of PyPI, npm and Debian has them (PyPI's `mamba` is another one)",
}
"""Clients that are never run here, and why."""
