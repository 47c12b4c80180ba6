"""Servers that run as child processes, and requests to them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from testkit.http1 import LOOPBACK

ROOT = Path(__file__).parents[1]


@contextmanager
def child_process(
    command: list[str], environment: Mapping[str, str], **pipes: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child while in the context; it finds our modules whatever its working directory."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with subprocess.Popen(command, env=variables, **pipes) as child:  # type: ignore[call-overload]
        try:
            yield child
        finally:
            child.terminate()


def get(port: int, path: str) -> bytes:
    """GET from a loopback port."""
    connection = HTTPConnection(LOOPBACK, port)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
