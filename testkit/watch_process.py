"""A running ``sluice watch``, and what its operator sees of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from testkit.child_process import ROOT
from testkit.eventually import eventually
from testkit.http1 import LOOPBACK

TOKEN = "token-of-the-test"  # noqa: S105 - of tests
READY_SECONDS_MAX = 60.0


@dataclass(slots=True)
class WatchProcess:
    """One process."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> tuple[int, str]:
        """The status and the text of an answer; status 0 while nobody listens."""
        return self.request("GET", path)

    def post(self, document: object, *, token: str = TOKEN) -> int:
        """Send a notification; the status of the answer."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.request("POST", "/events", body, {"Authorization": f"Bearer {token}"})[0]

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Send any request."""
        connection = HTTPConnection(LOOPBACK, self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionError:
            return 0, ""
        finally:
            connection.close()

    def wait_until_ready(self) -> None:
        """Wait until it has listed its channels."""

        def look() -> int:
            assert self.process.poll() is None, self.log.read_text()
            return self.get("/readyz")[0]

        eventually(
            look,
            lambda status: status == 200,
            what="sluice watch to be ready",
            explain=self.log.read_text,
            seconds_max=READY_SECONDS_MAX,
        )

    def list_now(self) -> None:
        """Send SIGHUP."""
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; the exit code, and the seconds that it took."""
        began = time.monotonic()
        self.process.terminate()
        return self.process.wait(timeout=60), time.monotonic() - began

    @property
    def lines(self) -> list[dict[str, object]]:
        """The log."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    @property
    def rss_kib(self) -> int:
        """Resident memory.  Linux only."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1])


@contextmanager
def watch_process(
    channels: Sequence[str],
    *options: str,
    port: int,
    log: Path,
    environment: Mapping[str, str],
) -> Iterator[WatchProcess]:
    """Run ``sluice watch --json`` on a port of the loopback interface while in the context."""
    variables = {
        **os.environ,
        "SLUICE_WATCH_TOKEN": TOKEN,
        **environment,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "sluice"), str(ROOT)]),
    }
    command = [sys.executable, "-m", "sluice.cli", "watch", *channels, "--json"]
    command += ["--listen", f"{LOOPBACK}:{port}", *options]
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env=variables, stdout=output, stderr=output) as process,
    ):
        try:
            yield WatchProcess(port, log, process)
        finally:
            process.kill()
