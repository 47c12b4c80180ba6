"""One channel in every format, indexed by ``sluice index``, over every transport."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import msgpack
import zstandard
from botocore.config import Config

from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, SLUICE_TOML
from testkit.channel import conda, index_of, tar_bz2
from testkit.http1 import LOOPBACK
from testkit.real_s3.seaweedfs import run_seaweedfs
from testkit.real_s3.server import ACCESS_KEY, SECRET_KEY
from testkit.s3_server.requests import Request
from testkit.s3_server.server import Server
from testkit.tls import make_authority
from testkit.web import served
from testkit.zstd import one_frame

ROOT = Path(__file__).parents[3]
FORMATS: Mapping[str, str] = {
    "shards": "",
    "zst": "write-shards = false\n",
    "json": "write-shards = false\nwrite-zst = false\n",
}
"""The table of ``sluice.toml`` with which a format is the best that a channel has."""
TRANSPORTS = ("s3", "https", "file")
BUCKET, _STATE = "client-matrix", "client-matrix-state"
REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
SPEC = "app"
"""What clients are asked for."""


_HELPER = conda(index_of("helper", subdir="noarch", noarch="generic"), payload=b"helper 1.0")
_LIB = tar_bz2(index_of("lib", depends=["helper"]), payload=b"lib 1.0")
_OLD_LIB = conda(index_of("lib", "0.9"), payload=b"lib 0.9")
_APP = conda(index_of("app", depends=["lib >=1.0"]), payload=b"app 1.0")
_PACKAGES = (_HELPER, _LIB, _OLD_LIB, _APP)
SOLUTION = frozenset(package.filename for package in (_APP, _LIB, _HELPER))
"""The filenames of what is to be solved."""
INSTALLED = {"app": b"app 1.0", "lib": b"lib 1.0", "helper": b"helper 1.0"}
"""What is to lie in ``share/<name>/data``."""


@dataclass(frozen=True, slots=True)
class Place:
    """The channels over one transport."""

    urls: Mapping[str, str]
    """By format."""
    proofs: Mapping[str, Mapping[str, str]]
    """By format, copies in which nothing but one of the channel's formats holds any package.

    By that format, the best first.  Empty where ``take`` tells what was read.
    """
    take: Callable[[], list[str]]
    """Which files of the channel were read since the last call."""
    signed_endpoint: str | None = None
    """Of an S3 that has the same and checks signatures, which the one with a log does not."""


@dataclass(frozen=True, slots=True)
class Places:
    """The channels over all transports, and what clients have to know of them."""

    by_transport: Mapping[str, Place]
    endpoint: str
    """Of S3."""
    authority: Path
    """Whom clients have to trust."""


@contextmanager
def published(folder: Path) -> Iterator[Places]:
    """Index the channel in every format, and serve it while in the context."""
    with ExitStack() as stack:
        endpoint, take = stack.enter_context(_s3())
        seaweedfs = stack.enter_context(run_seaweedfs())
        for one in (endpoint, seaweedfs.endpoint):
            _index_channels(one)
        site = folder / "site"
        _download(endpoint, site)
        proofs = _proofs(site, folder / "proofs")

        def take_s3() -> list[str]:
            return [key for key in take() if (site / key).is_file()]

        authority = make_authority(folder)
        https, take_https = stack.enter_context(_https(site, authority.context))
        yield Places(
            {
                "s3": Place(
                    {name: f"s3://{BUCKET}/{name}" for name in FORMATS},
                    {},
                    take_s3,
                    seaweedfs.endpoint,
                ),
                "https": Place({name: f"{https}/{name}" for name in FORMATS}, {}, take_https),
                "file": Place({name: (site / name).as_uri() for name in FORMATS}, proofs, list),
            },
            endpoint,
            authority.certificate,
        )


@contextmanager
def _s3() -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """Run the S3 server of testkit in a thread, and say which objects were asked for."""
    requests: list[Request] = []
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(Server(on_done=requests.append).listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def take() -> list[str]:
        taken, requests[:] = list(requests), []
        return [
            request.key
            for request in taken
            if request.operation == "s3:GetObject" and request.bucket == BUCKET
        ]

    try:
        yield f"http://{LOOPBACK}:{listening.sockets[0].getsockname()[1]}", take
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def _https(folder: Path, tls: ssl.SSLContext) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    with served(folder, tls=tls) as site:

        def take() -> list[str]:
            taken, site.read[:] = list(site.read), []
            return [path.lstrip("/") for path in taken]

        yield site.url, take


def s3_variables(endpoint: str) -> dict[str, str]:
    """What makes boto3 and sluice use the server."""
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, **CREDENTIALS} | {
        "AWS_DEFAULT_REGION": REGION
    }


def _client(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )


def _index_channels(endpoint: str) -> None:
    s3 = _client(endpoint)
    for bucket in (BUCKET, _STATE):
        s3.create_bucket(Bucket=bucket)
    for name, settings in FORMATS.items():
        _index_channel(s3, endpoint, name, settings)


def _index_channel(s3: Any, endpoint: str, name: str, settings: str) -> None:
    s3.put_object(
        Bucket=BUCKET, Key=f"{name}/{SLUICE_TOML}", Body=f"[index-config]\n{settings}".encode()
    )
    for package in _PACKAGES:
        s3.put_object(Bucket=BUCKET, Key=f"{name}/{package.path}", Body=package.body)
    subprocess.run(
        [sys.executable, "-m", "sluice.cli", "index", f"s3://{BUCKET}/{name}", "--state", _STATE],
        check=True,
        env={
            **os.environ,
            **s3_variables(endpoint),
            "PYTHONPATH": str(ROOT / "layers" / "sluice"),
        },
        stdout=subprocess.DEVNULL,
    )


def _download(endpoint: str, folder: Path) -> None:
    s3 = _client(endpoint)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for one in page.get("Contents", []):
            path = folder / one["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read())


def _proofs(site: Path, folder: Path) -> dict[str, dict[str, str]]:
    formats = list(FORMATS)
    urls: dict[str, dict[str, str]] = {}
    for at, name in enumerate(formats):
        urls[name] = {}
        for only in formats[at:]:
            target = folder / f"{name}-by-{only}"
            _copy_with_one_format(site / name, target, only)
            urls[name][only] = target.as_uri()
    return urls


def _copy_with_one_format(source: Path, target: Path, only: str) -> None:
    """Copy a channel, and take all packages out of its other formats."""
    for path in filter(Path.is_file, source.rglob("*")):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        kind, body = format_of(path.name), path.read_bytes()
        copy.write_bytes(body if kind in (None, only) else _EMPTIED[kind](body))


def _emptied_json(body: bytes) -> bytes:
    return json.dumps({**json.loads(body), "packages": {}, "packages.conda": {}}).encode()


def _emptied_zst(body: bytes) -> bytes:
    return zstandard.compress(_emptied_json(one_frame(body)))


def _emptied_shards(body: bytes) -> bytes:
    index = {**msgpack.unpackb(one_frame(body)), "shards": {}}
    return zstandard.compress(msgpack.packb(index))


_EMPTIED = {"shards": _emptied_shards, "zst": _emptied_zst, "json": _emptied_json}


def format_of(filename: str) -> str | None:
    """Which format a file is the beginning of; ``None`` for packages and all others."""
    return {SHARD_INDEX: "shards", REPODATA_ZST: "zst", REPODATA: "json"}.get(filename)
