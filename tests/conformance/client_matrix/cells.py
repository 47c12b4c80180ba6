"""One cell: a solve and an install by one client over one transport from one format."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.conformance.client_matrix.channels import (
    FORMATS,
    INSTALLED,
    ROOT,
    SOLUTION,
    TRANSPORTS,
    Places,
    format_of,
)
from tests.conformance.client_matrix.clients import Client, Task

_SECONDS_MAX = 180
_LINE_MAX = 240


class Verdict(StrEnum):
    """What came of it."""

    INSTALLED = "installed"
    SOLVED = "solved"
    """By a client that installs nothing."""
    FAILED = "failed"


class Cell(NamedTuple):
    """A cell of the page."""

    verdict: Verdict
    read: Sequence[str] = ()
    """The formats that it read, of a cell that did not fail; empty if nobody can tell."""
    line: str = ""
    """Why it failed."""


def run(client: Client, places: Places) -> Iterator[tuple[tuple[str, str], Cell]]:
    """Run a client everywhere: the cells by transport and format."""
    for transport in TRANSPORTS:
        for name in FORMATS:
            yield (transport, name), _cell(client, places, transport, name)


def _cell(client: Client, places: Places, transport: str, wanted: str) -> Cell:
    place = places.by_transport[transport]
    place.take()
    cell = _once(client, places, place.urls[wanted])
    if cell.verdict == Verdict.FAILED:
        return cell
    if place.signed_endpoint is not None:
        signed = replace(places, endpoint=place.signed_endpoint)
        again = _once(client, signed, place.urls[wanted])
        if again.verdict == Verdict.FAILED:
            return again
    if place.proofs:
        proofs = place.proofs[wanted].items()
        return cell._replace(
            read=[
                only for only, url in proofs if _once(client, places, url).verdict != Verdict.FAILED
            ]
        )
    read = {format_of(Path(path).name) for path in place.take()}
    return cell._replace(read=[name for name in FORMATS if name in read])


def _once(client: Client, places: Places, url: str) -> Cell:
    with TemporaryDirectory(prefix="client-") as name:
        task = Task(url, Path(name).resolve(), places.endpoint, places.authority)
        environment = {**task.variables, **client.variables(task)}
        output = ""
        for command in client.commands(task):
            code, output = _call(command, task.home, environment)
            if code is None:
                return Cell(Verdict.FAILED, line=f"no end within {_SECONDS_MAX} s")
            if code:
                return Cell(Verdict.FAILED, line=last_line(output, task.home, url))
        return _installed(task) if client.installs else _solved(output)


def _call(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[int | None, str]:
    """The exit code, ``None`` if it took too long, and the output."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # clients start others, which are to end with them
    ) as process:
        try:
            output, _ = process.communicate(timeout=_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, ""
        return process.returncode, output


def _installed(task: Task) -> Cell:
    installed = {path.parent.name: path.read_bytes() for path in task.prefix.glob("share/*/data")}
    if installed != INSTALLED:
        return Cell(Verdict.FAILED, line=f"installed {sorted(installed)}, said nothing")
    recorded = {path.stem for path in (task.prefix / "conda-meta").glob("*.json")}
    wanted = {name.removesuffix(".conda").removesuffix(".tar.bz2") for name in SOLUTION}
    if recorded != wanted:
        return Cell(Verdict.FAILED, line=f"recorded {sorted(recorded)} as installed")
    return Cell(Verdict.INSTALLED)


def _solved(output: str) -> Cell:
    filenames = set(output.split())
    if filenames != SOLUTION:
        return Cell(Verdict.FAILED, line=f"solved {sorted(filenames)}")
    return Cell(Verdict.SOLVED)


def last_line(output: str, home: Path, url: str) -> str:
    """The last line that says something, without what is of this machine and of this run."""
    lines = [line.strip() for line in output.splitlines() if re.search(r"\w", line)]
    last = lines[-1] if lines else "no output"
    last = (
        last.replace(url, "<channel>").replace(str(home), "<home>").replace(str(ROOT), "<sluice>")
    )
    last = re.sub(r"\b(localhost|127\.0\.0\.1):\d+", r"\1", last)
    last = re.sub(r"/\S*/(?=site-packages/)", "", last)
    return last if len(last) <= _LINE_MAX else last[:_LINE_MAX] + " …"
