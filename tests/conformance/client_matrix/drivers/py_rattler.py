"""Solve and install with whichever py-rattler this interpreter has.

Called with a URL, a spec, a folder for caches, the prefix, and of S3 the bucket, the endpoint and
the region.  Nothing is set that a user need not set: formats are of the channel's and the client's
choosing.

The process leaves without Python's own end.  There, threads of py-rattler may end it by a signal
though all was done (github.com/PyO3/pyo3-async-runtimes, issue 40): in about a quarter of the runs
of each version here.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import rattler
from rattler.networking import AuthenticationMiddleware, Client, S3Middleware
from rattler.networking.middleware import S3Config


def s3_config(endpoint: str, region: str) -> S3Config:
    """Where the bucket is, in the words of this version."""
    with_paths: dict[str, Any] = {"addressing_style": "path"}
    if "force_path_style" in inspect.signature(S3Config).parameters:  # before 0.27
        with_paths = {"force_path_style": True}
    return S3Config(endpoint, region, **with_paths)


async def main(url: str, spec: str, caches: Path, prefix: Path, s3: tuple[str, str, str]) -> None:
    """Do it."""
    bucket, endpoint, region = s3
    middleware = S3Middleware({bucket: s3_config(endpoint, region)})
    client = Client([AuthenticationMiddleware(), middleware])
    gateway = rattler.Gateway(cache_dir=caches / "repodata", client=client)
    records = await rattler.solve(
        [rattler.Channel(url)], [spec], gateway, platforms=["linux-64", "noarch"]
    )
    await rattler.install(
        records, prefix, cache_dir=caches / "packages", client=client, show_progress=False
    )


def run(arguments: list[str]) -> int:
    """The exit code of the process."""
    url, spec, caches, prefix, bucket, endpoint, region = arguments
    try:
        asyncio.run(main(url, spec, Path(caches), Path(prefix), (bucket, endpoint, region)))
    except Exception:  # noqa: BLE001  # whatever it is, the page shows its last line
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
