"""py-rattler as a client of a deployed stack, from ``s3://``, and as its predecessor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import rattler
from rattler import Gateway, RepoDataRecord, SourceConfig
from rattler.index import S3Credentials, index_s3
from rattler.networking import AuthenticationMiddleware, Client, S3Middleware
from rattler.networking.middleware import S3Config

from local.emulator import CREDENTIALS, REGION
from testkit.deployed import Channel


def http_client(channel: Channel) -> Client:
    """A client that knows where the bucket is; it takes credentials from the environment."""
    stack = channel.deployed.stack
    there = S3Config(stack.endpoint, REGION, "path")
    return Client([AuthenticationMiddleware(), S3Middleware({stack.channel_bucket: there})])


def gateway(channel: Channel, cache: Path, *, sharded: bool = True) -> Gateway:
    """What reads indexes; without ``sharded`` it reads ``repodata.json.zst``."""
    config = SourceConfig(sharded_enabled=sharded)
    return Gateway(cache_dir=cache, default_config=config, client=http_client(channel))


def query(channel: Channel, name: str, home: Path, *, sharded: bool) -> list[RepoDataRecord]:
    """Every record of a name, without dependencies, for ``linux-64``; ``home`` gets the cache."""

    async def _query() -> list[RepoDataRecord]:
        found = await gateway(channel, home, sharded=sharded).query(
            [rattler.Channel(channel.url)], ["linux-64", "noarch"], [name], recursive=False
        )
        return [record for records in found for record in records]

    return asyncio.run(_query())


def solve(channel: Channel, spec: str, home: Path, *, sharded: bool) -> list[RepoDataRecord]:
    """Solve for ``linux-64`` with nothing but the channel; ``home`` gets the cache."""

    async def _solve() -> list[RepoDataRecord]:
        return await rattler.solve(
            [rattler.Channel(channel.url)],
            [spec],
            gateway(channel, home / "repodata", sharded=sharded),
            ["linux-64", "noarch"],
        )

    return asyncio.run(_solve())


def install(channel: Channel, records: Sequence[RepoDataRecord], home: Path) -> Path:
    """Download what was solved into caches in ``home``, and return the prefix it is in."""
    prefix = home / "prefix"
    asyncio.run(
        rattler.install(
            list(records),
            prefix,
            cache_dir=home / "packages",
            client=http_client(channel),
            show_progress=False,
        )
    )
    return prefix


def index_with_rattler(endpoint: str, url: str) -> None:
    """Run rattler-index over a channel, ``s3://<bucket>/<channel>``."""
    credentials = S3Credentials(
        endpoint_url=endpoint,
        region=REGION,
        access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        addressing_style="path",
    )
    asyncio.run(index_s3(url, credentials))
