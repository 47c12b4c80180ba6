"""MiniStack as a child process: on a free loopback port, with everything it writes in one folder.

MiniStack runs the functions on its own Python, which is this one, whatever their ``Runtime`` says,
and lets them see this environment's packages behind those of the layer.  So a package that is
missing from the layer would not be missed here; a test of its own watches over that
(``tests/e2e/test_local_stack.py``).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import playwright

HOST = "127.0.0.1"
REGION = "us-east-1"
ACCOUNT = "123456789012"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": REGION,
}
"""MiniStack takes any."""

_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.1
NODE = Path(playwright.__file__).with_name("driver") / "node"
"""Node.js, which comes with the browser tests; MiniStack runs functions of CloudFront with it."""
_SCRIPT = Path(__file__).with_name("serve.py")
# Run by its path: a PYTHONPATH that lets it find this package would reach the functions, too.


class EmulatorError(RuntimeError):
    """MiniStack did not start, or is already running; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running MiniStack."""

    endpoint: str
    pid: int
    log: Path
    ca_bundle: Path | None
    """The authority that clients must trust if it is reached over TLS."""


@contextmanager
def run_emulator(
    home: Path, *, port: int | None = None, strict: bool = False
) -> Iterator[Emulator]:
    """Run MiniStack while in the context; it ends even if this process is killed.

    ``strict`` is as on AWS: over TLS, with signatures checked and all policies enforced, those of
    the functions' roles included.  Needs ``openssl`` for the certificate.
    """
    emulator, process = _start(home, port, tied=True, strict=strict)
    try:
        yield emulator
    finally:
        _stop(process)


def start_emulator(home: Path, *, port: int | None = None) -> Emulator:
    """Start MiniStack and leave it running; ``stop_emulator`` ends it."""
    return _start(home, port, tied=False, strict=False)[0]


def stop_emulator(home: Path, pid: int) -> bool:
    """End what ``start_emulator`` started there; ``False`` if it had ended before.

    Process ids are given out again, so the lock that MiniStack holds tells whether ``pid`` is it.
    """
    if not is_running(home):
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS_MAX
    while is_running(home):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    _remove_temporary_files(home)
    return True


def is_running(home: Path) -> bool:
    """Tell whether a MiniStack that lives in this folder is running."""
    try:
        with _lock_path(home).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _start(
    home: Path, port: int | None, *, tied: bool, strict: bool
) -> tuple[Emulator, subprocess.Popen[bytes]]:
    home.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    endpoint = f"{'https' if strict else 'http'}://{HOST}:{port}"
    log = home / "ministack.log"
    with _lock_path(home).open("a") as lock, log.open("wb") as output:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmulatorError(
                f"MiniStack is already running in {home}. Stop it with: make local-down"
            ) from None
        _remove_temporary_files(home)
        (home / "tmp").mkdir()
        process = subprocess.Popen(
            [sys.executable, str(_SCRIPT), *(["--tied"] if tied else [])],
            env=_environment(home, port, strict=strict),
            cwd=home,
            stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we stop it
            pass_fds=[lock.fileno()],  # MiniStack keeps the lock as long as it lives
        )
    try:
        _wait_until_ready(process, port, log)
    except BaseException:
        _stop(process)
        raise
    ca_bundle = home / "tmp" / "ministack-tls" / "server.crt" if strict else None
    return Emulator(endpoint, process.pid, log, ca_bundle), process


def _environment(home: Path, port: int, *, strict: bool) -> dict[str, str]:
    # Not this process's environment: all of it would be handed on to the functions.
    return {
        "PATH": os.pathsep.join([str(NODE.parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),  # no profile of AWS that happens to be on this machine
        "TMPDIR": str(home / "tmp"),
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        # Two more listeners, on ports of their own and on all interfaces.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "AUTH": "true" if strict else "false",
        "USE_SSL": "1" if strict else "0",
        **CREDENTIALS,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        number: int = probe.getsockname()[1]
        return number


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(_POLL_SECONDS)
        else:
            return
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise EmulatorError(f"MiniStack did not start at {HOST}:{port}:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _lock_path(home: Path) -> Path:
    return home / "ministack.lock"


def _remove_temporary_files(home: Path) -> None:
    shutil.rmtree(home / "tmp", ignore_errors=True)
