"""Measured processes, from outside; ``worker.py`` is their inside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmarks.worker import Usage
from testkit.child_process import ROOT, child_process

Say = Callable[[str], None]
"""For progress."""


def leave_in_order_when_terminated() -> None:
    """Let SIGTERM, which ``timeout`` sends, end whatever was started, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def progress() -> Say:
    """Print to stderr, with the seconds since this call."""
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    return say


class Worker:
    """A measured process; see ``worker.py``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        self._stdin, self._stdout = process.stdin, process.stdout
        self.imports = self._read()

    def run(self, argument: object) -> Usage:
        """Run the subject once."""
        self._stdin.write(json.dumps(argument).encode() + b"\n")
        self._stdin.flush()
        return self._read()

    def _read(self) -> Usage:
        line = self._stdout.readline()
        if not line:
            raise RuntimeError("a measured process ended early; see its log")
        return Usage(**json.loads(line))


@contextmanager
def worker(
    subject: str,
    environment: Mapping[str, str],
    log: IO[bytes],
    python: str | Path = sys.executable,
) -> Iterator[Worker]:
    """Start a measured process and end it."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sluice")])
    with child_process(
        [str(python), "-m", "benchmarks.worker", subject],
        {**environment, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
    ) as process:
        yield Worker(process)
