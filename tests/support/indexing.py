"""A channel indexed from beginning to end: by sluice in memory, by rattler-index on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path

import rattler.index

from sluice import debounce
from sluice.concurrency import in_order
from sluice.extract import Extractor, extract
from sluice.keys import parse_package_key
from sluice.merge import Merger, merge
from sluice.publish.publisher import Publisher
from sluice.staging import Indexed
from tests.support.channel import Package
from tests.support.memory_queue import MemoryQueue
from tests.support.memory_store import MemoryStore

CHANNEL = "Conda/Default"
NOW_MS = 1_750_000_000_000
_DEBOUNCE_SECONDS = 10


def index_with_sluice(packages: Iterable[Package]) -> dict[str, bytes]:
    """Upload, extract, merge and publish; the files of the channel by path, without packages."""
    channel = MemoryStore(lambda: NOW_MS / 1000)
    state, queue, unique = MemoryStore(), MemoryQueue(), count()
    extractor = Extractor(
        channel=channel,
        state=state,
        queue=queue,
        clock=lambda: NOW_MS,
        unique=lambda: str(next(unique)),
        debounce_seconds=_DEBOUNCE_SECONDS,
        trust_uploader_digests=True,
        receives_max=3,
    )
    uploaded = {f"{CHANNEL}/{package.path}": package.body for package in packages}
    for path, body in uploaded.items():
        channel.upload(path, body)
        key = parse_package_key(path)
        assert key
        staged = extract(extractor, key, size_hint=len(body))
        assert isinstance(staged, Indexed), staged
    merger = Merger(
        channel=channel,
        state=state,
        publisher=Publisher(channel, state, "owner", max_age_seconds=60),
        queue=queue,
        gather=in_order,
        clock=lambda: NOW_MS,
        unique=lambda: str(next(unique)),
        debounce_seconds=_DEBOUNCE_SECONDS,
    )
    while queue.messages:
        merge(merger, debounce.parse(queue.messages.pop(0).body), time_left_ms=lambda: 900_000)
    return {
        path.removeprefix(f"{CHANNEL}/"): channel.body(path)
        for path in channel.objects
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
