"""Notes: messages from the merges of subdirs to the merge of their channel.

A note is written after the head was swapped, and before the staging records are deleted, so a merge
that is killed in between repeats both.  It holds the state of some names in a generation.  So it
may arrive twice, late or out of order: the newest generation decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from sluice.catalog.client_view import RenderRules
from sluice.catalog.codec import pack_struct, unpack_struct
from sluice.catalog.entry import Entries
from sluice.channel_config import ChannelConfig, Notice
from sluice.channel_files.contribution import Contribution, make_contribution
from sluice.layout import Subdir
from sluice.messages import channel_merge_request
from sluice.runtime import Runtime
from sluice.storage import object_headers

FORMAT = 1
"""The newest format of notes that this version reads, and the one that it writes."""


class WantedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of the whole channel that should exist."""

    channeldata: bool = False
    rss: bool = False
    page: bool = False
    notices: tuple[Notice, ...] | None = None
    """``None``: an existing file is kept."""

    @property
    def packages(self) -> bool:
        """Whether any of them shows packages."""
        return self.channeldata or self.rss or self.page

    @classmethod
    def from_config(cls, config: ChannelConfig) -> WantedFiles:
        """The files that a configuration enables."""
        return cls(
            channeldata=config.channeldata,
            rss=config.rss,
            page=config.page,
            notices=config.notices,
        )


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """The stored note."""

    subdir: str
    generation: int
    """The generation of the subdir whose state the names have."""
    wanted: WantedFiles
    everything: bool
    """Whether these are all names; every other name is gone."""
    names: dict[str, Contribution | None]
    """``None``: clients see no package of that name."""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class ChannelNoteWriter:
    """Writes notes for the merge of a channel, and requests that merge."""

    runtime: Runtime

    def write(
        self,
        subdir: Subdir,
        generation: int,
        names: Iterable[tuple[str, Entries]],
        rules: RenderRules,
        *,
        everything: bool = False,
    ) -> None:
        """Write the state of some names in a generation, and request a merge of the channel.

        ``names`` is read only if the configuration needs it; with ``everything`` they are all names
        of the generation.  Raises ``Unavailable``.
        """
        wanted = WantedFiles.from_config(rules.config)
        contributions = (
            {name: make_contribution(entries, rules) for name, entries in names}
            if (wanted.packages)
            else {}
        )
        note = Note(
            subdir=subdir.name,
            generation=generation,
            wanted=wanted,
            # If no file shows packages, the channel's state forgets them.
            everything=everything or not wanted.packages,
            names=contributions,
        )
        self.runtime.state.put(
            subdir.note_key(self.runtime.new_id()),
            pack_struct(note, what="a note"),
            object_headers.PRIVATE_ZSTD_HEADERS,
        )
        # The clock is read after the PUT returned, see ``merge_request``.
        channel_merge_request.channel_merge_message(
            subdir.channel,
            now_ms=self.runtime.clock(),
            debounce_seconds=self.runtime.debounce_seconds,
        ).send_to(self.runtime.merge_queue)


def needs_channel_note(config: ChannelConfig, *, config_changed: bool) -> bool:
    """Whether a merge has to write a note at all.

    A merge that has read the configuration always does, because a file may just have been disabled.
    """
    return config_changed or WantedFiles.from_config(config).packages


def decode_note(body: bytes, *, what: str) -> Note:
    """Parse a note; raises ``Corrupt`` and ``TooNew``, which name ``what``."""
    return unpack_struct(body, Note, newest=FORMAT, what=what)
