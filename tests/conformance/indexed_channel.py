"""A channel indexed from beginning to end: by sluice in memory, by rattler-index on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import rattler.index

from sluice.extract.staging import Indexed
from testkit.channel import Package
from testkit.system import System

CHANNEL = "Conda/Default"
NOW_MS = 1_750_000_000_000
"""When everything is uploaded."""
MERGED_MS = range(NOW_MS, NOW_MS + 11_000)
"""When it is merged: as soon as a request is due that was sent within the uploads' window."""


def index_with_sluice(packages: Iterable[Package]) -> dict[str, bytes]:
    """Upload, extract, merge and publish; the files of the channel by path, without packages."""
    sluice = System(NOW_MS)
    uploaded = {f"{CHANNEL}/{package.path}": package.body for package in packages}
    sluice.upload(uploaded)
    for path in uploaded:
        staged = sluice.extract(path)
        assert isinstance(staged, Indexed), staged
    sluice.deliver_merges()
    return {
        path.removeprefix(f"{CHANNEL}/"): sluice.channel.body(path)
        for path in sluice.channel.objects
        if path not in uploaded
    }


def index_with_rattler(packages: Iterable[Package], folder: Path) -> dict[str, bytes]:
    """Run rattler-index over the same packages; the files of the channel by path."""
    (folder / "noarch").mkdir(parents=True)
    paths = set()
    for package in packages:
        package.write_below(folder)
        paths.add(package.path)
    asyncio.run(rattler.index.index_fs(folder))
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return {path: body for path, body in files.items() if path not in paths}


def write_channel(files: Mapping[str, bytes], folder: Path) -> None:
    """Lay the files of a channel out on disk."""
    for path, body in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
