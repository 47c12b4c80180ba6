"""A channel in memory whose subdirs write notes, and the channel merges that read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from sluice.catalog.client_view import RenderRules
from sluice.catalog.entry import Entries, Record
from sluice.channel_config import ChannelConfig
from sluice.channel_files import merge as merging
from sluice.channel_files import state
from sluice.channel_files.merge import ChannelMergeContext, ChannelReport
from sluice.channel_files.state import ChannelState
from sluice.layout import CHANNELDATA, RSS, Subdir, channel_file_key
from sluice.publish.bucket_check import BucketCheck
from testkit.system import System
from tests.support.staging_records import START_MS, identity_of, record_of

CHANNEL = "Conda/Default"
BOTH = ChannelConfig(channeldata=True, rss=True)


def entry(
    filename: str,
    *,
    about: Mapping[str, Any] | None = None,
    run_exports: Any = None,
    **record: Any,
) -> Record:
    """What the catalog keeps of a package."""
    return Record(
        identity=identity_of(filename.encode()),
        extractor=1,
        record={**record_of(filename, filename.encode()), **record},
        digests_from={"sha256": "read", "md5": "read"},
        run_exports=run_exports,
        channeldata=dict(about or {}),
    )


def entries(*filenames: str) -> dict[str, Record]:
    """Packages that say nothing of themselves."""
    return {filename: entry(filename) for filename in filenames}


class ChannelSystem:
    """Two buckets and a queue in memory, seen from one channel."""

    def __init__(self, name: str = CHANNEL) -> None:
        self.name = name
        self.system = System(START_MS, bucket="channel-bucket", owner="state-bucket")
        self.channel = self.system.channel
        self.state = self.system.state
        self.queue = self.system.merges

    @property
    def bucket_check(self) -> BucketCheck:
        return self.system.merger.bucket_check

    def bind(self) -> None:
        """Bind the channel, as the first commit of a subdir does."""
        self.bucket_check.bind(self.name)

    @property
    def merger(self) -> ChannelMergeContext:
        return self.system.merger.channel_merge

    def note(
        self,
        generation: int,
        names: Mapping[str, Entries],
        *,
        subdir: str = "linux-64",
        config: ChannelConfig = BOTH,
        everything: bool = False,
    ) -> None:
        """Write a note, a second after everything before."""
        self.system.tick()
        self.system.merger.note_writer.write(
            Subdir(self.name, subdir),
            generation,
            names.items(),
            RenderRules(config),
            everything=everything,
        )

    def merge(self) -> ChannelReport:
        """Merge the channel, a second later."""
        self.system.tick()
        return merging.merge_channel(self.merger, self.name)

    def known(self) -> ChannelState:
        return state.state_object(self.state, self.name).read().value

    def notes(self) -> list[str]:
        return self.state.keys("notes/")

    def file(self, name: str) -> bytes:
        return self.channel.body(channel_file_key(self.name, name))

    def channeldata(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.file(CHANNELDATA))
        return document

    def versions(self) -> dict[str, str]:
        return {name: one["version"] for name, one in self.channeldata()["packages"].items()}

    def titles(self) -> list[str]:
        feed = ET.fromstring(self.file(RSS))  # noqa: S314 - of our own making
        return [title.text or "" for title in feed.iterfind("channel/item/title")]

    def requests(self) -> list[tuple[str, str]]:
        """What was asked of both buckets, in no order between the two."""
        return self.state.operations() + self.channel.operations()

    def forget_requests(self) -> None:
        self.state.requests.clear()
        self.channel.requests.clear()
