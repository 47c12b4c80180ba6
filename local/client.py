"""A real client: py-rattler solves and installs from ``s3://``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import rattler
from rattler.networking import AuthenticationMiddleware, Client, S3Middleware
from rattler.networking.middleware import S3Config

from local.emulator import CREDENTIALS, REGION
from local.stack import Stack


async def install(stack: Stack, channel: str, specs: Sequence[str], home: Path) -> Path:
    """Solve ``specs`` with nothing but ``channel``, install them, and return the prefix.

    ``home`` gets the caches, too, so that what is installed was downloaded.
    """
    os.environ.update(CREDENTIALS)  # the client looks for them there
    endpoint = S3Config(stack.endpoint, REGION, "path")
    client = Client([AuthenticationMiddleware(), S3Middleware({stack.channel_bucket: endpoint})])
    records = await rattler.solve(
        [rattler.Channel(f"s3://{stack.channel_bucket}/{channel}")],
        list(specs),
        rattler.Gateway(cache_dir=home / "repodata-cache", client=client),
        [rattler.Subdir.current(), rattler.Subdir("noarch")],
    )
    prefix = home / "prefix"
    await rattler.install(
        records,
        prefix,
        cache_dir=home / "package-cache",
        client=client,
        show_progress=False,
    )
    return prefix
