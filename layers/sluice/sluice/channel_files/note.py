"""Notes: what the merge of a subdir tells the merge of its channel.

A note is written after the head was swapped, and before what was staged is deleted: whoever is
killed in between does it all again.  It says what a generation holds of some names, so it may come
twice, late or never in order; which generation is the newest decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from sluice.catalog.client_view import RenderRules
from sluice.catalog.codec import FORMAT, pack_struct, unpack_struct
from sluice.catalog.entry import Entries
from sluice.channel_config import ChannelConfig, Notice
from sluice.channel_files.contribution import Contribution, make_contribution
from sluice.layout import Subdir
from sluice.messages import channel_merge_request
from sluice.runtime import Runtime
from sluice.storage import object_headers


class WantedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Which files of the whole channel there should be."""

    channeldata: bool = False
    rss: bool = False
    page: bool = False
    notices: tuple[Notice, ...] | None = None
    """``None``: whatever there is stays."""

    @property
    def packages(self) -> bool:
        """Whether any of them tells of packages."""
        return self.channeldata or self.rss or self.page

    @classmethod
    def from_config(cls, config: ChannelConfig) -> WantedFiles:
        """What a configuration asks for."""
        return cls(
            channeldata=config.channeldata,
            rss=config.rss,
            page=config.page,
            notices=config.notices,
        )


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """As stored."""

    subdir: str
    generation: int
    """The names are as they were in this generation, or a later one had not been."""
    wanted: WantedFiles
    everything: bool
    """Whether these are all names there are; every other is gone."""
    names: dict[str, Contribution | None]
    """``None``: clients see no package of that name."""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class ChannelNoteWriter:
    """Leaves notes for the merge of a channel, and requests it."""

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
        """Tell of some names as they are in a generation, and ask for a merge of the channel.

        ``names`` is read only where the configuration needs it; with ``everything`` they are all
        names of the generation.  Raises ``Unavailable``.
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
            # Where nobody wants to hear of packages, what was heard is forgotten.
            everything=everything or not wanted.packages,
            names=contributions,
        )
        self.runtime.state.put(
            subdir.note_key(self.runtime.new_id()),
            pack_struct(note),
            object_headers.PRIVATE_ZSTD_HEADERS,
        )
        # The clock is read after the PUT returned, see debounce.
        channel_merge_request.channel_merge_message(
            subdir.channel,
            now_ms=self.runtime.clock(),
            debounce_seconds=self.runtime.debounce_seconds,
        ).send_to(self.runtime.merge_queue)


def needs_channel_note(config: ChannelConfig, *, config_changed: bool) -> bool:
    """Tell whether a merge has to write a note at all.

    One that has looked at the configuration always does, for it may just have been switched off.
    """
    return config_changed or WantedFiles.from_config(config).packages


def decode_note(body: bytes, *, what: str) -> Note:
    """Read a note; raises ``Corrupt`` and ``TooNew``, naming ``what``."""
    return unpack_struct(body, Note, what=what)
