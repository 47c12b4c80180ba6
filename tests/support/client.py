"""py-rattler as a client of a deployed stack, from ``s3://``."""

from __future__ import annotations

from pathlib import Path

from rattler import Gateway, SourceConfig
from rattler.networking import AuthenticationMiddleware, Client, S3Middleware
from rattler.networking.middleware import S3Config

from local.emulator import REGION
from tests.support.deployed import Channel


def http_client(channel: Channel) -> Client:
    """A client that knows where the bucket is; it takes credentials from the environment."""
    stack = channel.deployed.stack
    there = S3Config(stack.endpoint, REGION, "path")
    return Client([AuthenticationMiddleware(), S3Middleware({stack.channel_bucket: there})])


def gateway(channel: Channel, cache: Path, *, sharded: bool = True) -> Gateway:
    """What reads indexes; without ``sharded`` it reads ``repodata.json.zst``."""
    config = SourceConfig(sharded_enabled=sharded)
    return Gateway(cache_dir=cache, default_config=config, client=http_client(channel))
