"""Measured processes, from outside; ``worker.py`` is their inside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmarks.worker import Usage

ROOT = Path(__file__).parents[1]


def leave_in_order_when_terminated() -> None:
    """Let SIGTERM, which ``timeout`` sends, end whatever was started, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


class Worker:
    """A measured process; see ``worker.py``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.imports = self._read()

    def run(self, argument: object) -> Usage:
        """Run the subject once."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(argument) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Usage:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a measured process ended early; see its log")
        return Usage(**json.loads(line))


@contextmanager
def worker(subject: str, environment: Mapping[str, str], log: IO[bytes]) -> Iterator[Worker]:
    """Start a measured process and end it."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sluice")])
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.worker", subject],
        env={**os.environ, **environment, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        yield Worker(process)
    except BaseException:
        process.kill()  # whatever it is in the middle of is of no use any more
        raise
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait()
        process.stdout.close()
