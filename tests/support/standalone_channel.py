"""A channel in memory without a stack: for ``sluice index``, ``verify`` and ``rebind``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from sluice.admin.session.channel import Channel
from sluice.admin.standalone.index import IndexOptions, index
from sluice.admin.standalone.package_pool import Examiner, ThreadReaders
from sluice.admin.standalone.report import IndexReport
from sluice.concurrency import in_order
from sluice.layout import Subdir
from testkit.channel import Package, conda
from testkit.memory_store import MemoryStore
from testkit.published import Index, read_index

CHANNEL = "team"
LINUX = Subdir(CHANNEL, "linux-64")
NOARCH = Subdir(CHANNEL, "noarch")
OWNER = "state-bucket"
START_MS = 1_750_000_000_000


def package(name: str, version: str = "1.0", *, subdir: str = "linux-64", **more: Any) -> Package:
    """A good package."""
    index: Mapping[str, Any] = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": subdir,
        **more,
    }
    return conda(index, payload=f"{name} {version}".encode())


class StandaloneChannel:
    """Two buckets, and what operators do with them."""

    def __init__(self, *, page_size: int = 1000) -> None:
        self.now_ms = START_MS
        self.public = MemoryStore(self._seconds, page_size=page_size)
        self.state = MemoryStore(self._seconds, page_size=page_size)
        self._new_id = count()
        self.channel = Channel(
            bucket="channel-bucket",
            name=CHANNEL,
            public=self.public,
            state=self.state,
            executor=in_order,
            clock=lambda: self.now_ms,
            new_id=lambda: f"{next(self._new_id):08x}",
            owner=OWNER,
        )

    def copy(self) -> StandaloneChannel:
        """Another one that is the same by now."""
        other = StandaloneChannel()
        other.now_ms = self.now_ms
        other.public.objects |= self.public.objects
        other.state.objects |= self.state.objects
        # What has been unique stays so.
        other._new_id = count(100_000)
        return other

    def tick(self, seconds: int = 1) -> None:
        """Let time pass."""
        self.now_ms += seconds * 1000

    def upload(self, *packages: Package) -> None:
        """Put packages there, a second later."""
        self.tick()
        for one in packages:
            self.public.upload(f"{CHANNEL}/{one.path}", one.body)

    def index(self, options: IndexOptions | None = None, **more: Any) -> IndexReport:
        """Index in this thread, one request after the other, a second later."""
        self.tick()
        return index(
            self.channel,
            replace(options or IndexOptions(), subdirs_at_once=1),
            **self.one_reader() | more,
        )

    def one_reader(self) -> dict[str, Any]:
        """The option that reads packages one after the other."""
        examiner = Examiner(self.public, True, self.channel.clock)  # noqa: FBT003 - as people do
        return {"readers": ThreadReaders(examiner, workers=1)}

    def published(self, subdir: Subdir = LINUX) -> Index:
        """What clients read, each way."""
        return read_index(lambda file: self.public.body(subdir.file_key(file)))

    def filenames(self, subdir: Subdir = LINUX) -> list[str]:
        """What clients find."""
        return sorted(self.published(subdir).records)

    def _seconds(self) -> float:
        return self.now_ms / 1000
