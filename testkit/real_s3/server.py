"""A running S3 server that others made, and how to wait for it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from sluice.storage import s3_client
from sluice.storage.s3_client import Endpoint
from testkit.child_process import child_process
from testkit.http1 import LOOPBACK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY, SECRET_KEY = "key", "secretsecret"
"""The credentials that every server takes."""
_READY_SECONDS_MAX = 120.0
_POLL_SECONDS = 0.2
_LOG_LINES = 20
_READY_BUCKET = "ready"


class ServerError(RuntimeError):
    """A server cannot be started here, or did not start; the message says why."""


@dataclass(frozen=True)
class RealServer:
    """A running server."""

    name: str
    """The product."""
    port: int
    region: str
    """The region that it takes signatures for."""

    @property
    def endpoint(self) -> str:
        """The URL for clients."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which S3 clients use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }

    @cached_property
    def client(self) -> S3Client:
        """Somebody else's client."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}),
        )

    @cached_property
    def sluice_client(self) -> s3_client.S3Client:
        """Our own client."""
        credentials = Credentials(ACCESS_KEY, SECRET_KEY)
        return s3_client.make_s3_client(Endpoint(self.region, self.endpoint), credentials)

    def wait_until_ready(self, processes: Sequence[Daemon]) -> None:
        """Wait until an object can be written; raises ``ServerError``."""
        wait_until(self._is_ready, f"{self.name} to take an object", processes)

    def _is_ready(self) -> bool:
        try:
            self.client.create_bucket(Bucket=_READY_BUCKET)
            self.client.put_object(Bucket=_READY_BUCKET, Key="k", Body=b"ready")
        except (BotoCoreError, ClientError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Daemon:
    """One process of a server."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise ``ServerError`` if it has ended."""
        if self.process.poll() is not None:
            raise ServerError(f"{self.log.stem} has ended by itself:\n{self.last_lines}")

    @property
    def last_lines(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


@contextmanager
def daemons(folder: Path) -> Iterator[Callable[[Sequence[str]], Daemon]]:
    """Start processes while in the context; they end with it, or with this process.

    Their output goes to files in ``folder``.  The last one is ended first.
    """
    with ExitStack() as running:

        def start(command: Sequence[str]) -> Daemon:
            log = folder / f"{Path(command[0]).name}.log"
            output = running.enter_context(log.open("wb"))
            process = running.enter_context(
                child_process(
                    [sys.executable, "-m", "testkit.tied", *command],
                    {},
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
            return Daemon(process, log)

        yield start


def wait_until(condition: Callable[[], bool], what: str, processes: Sequence[Daemon]) -> None:
    """Wait for a condition while processes run; raises ``ServerError``."""
    end = time.monotonic() + _READY_SECONDS_MAX
    while not condition():
        for daemon in processes:
            daemon.check()
        if time.monotonic() > end:
            logs = "\n".join(daemon.last_lines for daemon in processes)
            raise ServerError(f"waited {_READY_SECONDS_MAX:.0f} s in vain for {what}:\n{logs}")
        time.sleep(_POLL_SECONDS)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]
