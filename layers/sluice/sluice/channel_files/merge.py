"""One merge of a channel: from the notes of its subdirs to its files.

Two at once are right, as two merges of one subdir are, and with less: folding notes is commutative
and idempotent, so a note that two have read, or that comes late, does no harm.  What remains is the
order: the state is swapped before anything is published from it, and notes are deleted last.

A window with one note costs 9 requests: LIST and GET the note, GET and PUT the state, GET the
binding (``bucket_check``), HEAD ``channeldata.json``, PUT ``rss.xml`` under the ETag that the
other's metadata remembers, PUT ``channeldata.json``, DELETE the note.  Each further note costs one
more, the page two (a look at what it lists, and that is written); where the configuration was
looked at, ``notices.json`` two, the page a look, and each file that is off one or two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any, Literal

import msgspec

from sluice.channel_files import channeldata, notices, page, page_data, rss, state
from sluice.channel_files import note as notes
from sluice.channel_files.note import Note
from sluice.channel_files.state import NOTHING, ChannelState
from sluice.concurrency import Gather
from sluice.errors import Corrupt, TooNew
from sluice.layout import (
    CHANNELDATA,
    NOTICES,
    PAGE,
    PAGE_DATA,
    RSS,
    channel_file,
    set_aside,
    state_folder,
)
from sluice.limits import CHANNEL_NOTES_MAX
from sluice.publish.bucket_check import BucketCheck
from sluice.publish.fence import (
    Page,
    Stamp,
    Standing,
    companion,
    find_companion,
    replace,
    standing,
)
from sluice.storage import object_headers
from sluice.storage.object_store import ETag, ObjectInfo, ObjectStore
from sluice.storage.versioned_object import LOST, Swap, Version, commit_loop


@dataclass(frozen=True, slots=True)
class ChannelMerger:
    """What a merge of a channel needs of the world."""

    channel: ObjectStore
    state: ObjectStore
    bucket_check: BucketCheck
    owner: str
    """See ``Stamp``."""
    max_age_seconds: int
    """How long clients may keep a file."""
    gather: Gather
    clock: Callable[[], int]
    """Now, ms since the epoch."""
    unique: Callable[[], str]
    """A string that nobody else has."""


@dataclass(slots=True)
class ChannelReport:
    """What one merge did, for logs and metrics."""

    generation: int = 0
    notes: int = 0
    """Notes that were read."""
    set_aside: int = 0
    too_new: int = 0
    files_written: int = 0
    foreign_overwritten: int = 0
    foreign_kept: int = 0
    """1 where an ``index.html`` stays that is not sluice's."""


@dataclass(slots=True)
class _Batch:
    """Some notes."""

    notes: list[Note] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, bytes]] = field(default_factory=list)
    too_new: int = 0
    resume_after: str | None = None
    """Where the rest begins; ``None``: these were all."""

    @property
    def tidy(self) -> bool:
        """Whether the configuration may have changed, or somebody asks without having noted."""
        return not self.notes or any(note.everything for note in self.notes)


def merge_channel(world: ChannelMerger, channel: str) -> ChannelReport:
    """Fold the notes of a channel into its state, and publish that.

    Raises ``Unavailable``, ``Corrupt``, ``TooNew``, ``ForeignOwner`` and ``WrongState``; the notes
    then still are.
    """
    report = ChannelReport()
    batch = _read_notes(world, channel, after=None)
    _merge_batch(world, channel, batch, report)
    while batch.resume_after is not None:
        batch = _read_notes(world, channel, after=batch.resume_after)
        _merge_batch(world, channel, batch, report)
    return report


def _merge_batch(world: ChannelMerger, channel: str, batch: _Batch, report: ChannelReport) -> None:
    versioned = state.state_object(world.state, channel)

    def attempt(before: Version[ChannelState]) -> ChannelState | Literal[Swap.LOST]:
        # After the state was read, as after a head.  There is no first commit here to bind with:
        # a subdir has committed, or nothing is wanted.
        bound = world.gather.start(partial(world.bucket_check.ensure_bound, channel))
        first = _first(world, channel, batch.notes) if before.etag is None else before.value
        after = state.fold(first, batch.notes, at=world.clock(), writer=world.unique())
        bound()
        if before.etag is None and not _wants_anything(after):
            return after  # nobody ever wanted any
        if after is not before.value and versioned.swap(after, expected=before.etag) is LOST:
            return LOST
        _Files(world, channel, after, report).publish(tidy=batch.tidy)
        return after

    after = commit_loop(versioned, attempt)
    for key, body in batch.unreadable:
        world.state.put(set_aside(key), body, object_headers.PRIVATE_ZSTD)
    world.state.delete(batch.consumed)
    report.generation = after.generation
    report.notes += len(batch.notes)
    report.set_aside += len(batch.unreadable)
    report.too_new += batch.too_new


def _read_notes(world: ChannelMerger, channel: str, *, after: str | None) -> _Batch:
    listed = world.state.list(state_folder("notes", channel), after=after)
    keys = [info.key for info in islice(listed, CHANNEL_NOTES_MAX)]
    batch = _Batch(resume_after=keys[-1] if len(keys) == CHANNEL_NOTES_MAX else None)
    for key, stored in zip(keys, world.gather(world.state.get, keys), strict=True):
        if stored is None:
            continue  # another merge is through with it
        try:
            batch.notes.append(notes.decode(stored.body, what=key))
        except TooNew:
            batch.too_new += 1
            continue
        except Corrupt:
            batch.unreadable.append((key, stored.body))
        batch.consumed.append(key)
    return batch


def _first(world: ChannelMerger, channel: str, told: Sequence[Note]) -> ChannelState:
    """What to begin with: above what is there of ours, should a state have been lost."""
    files = [CHANNELDATA]
    if any(note.wanted.page for note in told):
        files.append(PAGE_DATA)
    found = [world.channel.head(channel_file(channel, file)) for file in files]
    stamps = [Stamp.parse(info.metadata) for info in found if info]
    ours = [stamp.generation for stamp in stamps if stamp and stamp.owner == world.owner]
    return msgspec.structs.replace(NOTHING, generation=max(ours)) if ours else NOTHING


def _wants_anything(known: ChannelState) -> bool:
    return known.wanted.packages or known.wanted.notices is not None


class _Files:
    """The files of one state of a channel."""

    def __init__(
        self, world: ChannelMerger, channel: str, known: ChannelState, report: ChannelReport
    ) -> None:
        self._world = world
        self._channel = channel
        self._known = known
        self._report = report

    def publish(self, *, tidy: bool) -> None:
        """Write what is behind; ``tidy``: also what depends on nothing but the configuration."""
        wanted = self._known.wanted
        if wanted.channeldata or wanted.rss:
            self._publish_packages(tidy=tidy)
        if wanted.page:
            self._publish_page(tidy=tidy)
        if tidy:
            mine = self._stamp(self._known.generation)
            if wanted.notices is not None:
                body = notices.render(wanted.notices, stamp=mine)
                self._replace(self._page(NOTICES, body), mine, self._head(NOTICES))
            on = {
                CHANNELDATA: wanted.channeldata,
                RSS: wanted.rss,
                PAGE: wanted.page,
                PAGE_DATA: wanted.page,
            }
            self._delete([file for file, is_on in on.items() if not is_on], mine)

    def _publish_packages(self, *, tidy: bool) -> None:
        """The feed first: the other's metadata remembers its ETag, and spares it a look.

        ``tidy``: look at the feed, too, where the other is as it should be.
        """
        wanted, mine = self._known.wanted, self._stamp(self._known.packages_changed)
        found: ObjectInfo | None = None
        found_rss: ObjectInfo | None = None
        if wanted.channeldata:
            found = self._head(CHANNELDATA)
            now = standing(found, mine)
            if not now.behind and not tidy:
                return
            if found and now is Standing.OLDER:
                found_rss = find_companion(found, channel_file(self._channel, RSS))
        metadata: dict[str, str] = {}
        if wanted.rss:
            body = rss.render(self._shown, channel=self._channel, at_ms=self._known.at, stamp=mine)
            etag = self._replace(self._page(RSS, body), mine, found_rss or self._head(RSS))
            metadata = companion(etag) if etag else {}
        if wanted.channeldata:
            body = channeldata.render(self._shown, subdirs=sorted(self._known.subdirs), stamp=mine)
            self._replace(self._page(CHANNELDATA, body).remembering(metadata), mine, found)

    def _publish_page(self, *, tidy: bool) -> None:
        """The page first: what it lists is stamped with the page that can read it.

        So a sluice with another page writes both, and otherwise a look at the listing tells that
        the page is there.  A page that somebody else has written stays.
        """
        mine = self._stamp(self._known.packages_changed, tree=page.digest())
        found = self._head(PAGE_DATA)
        now = standing(found, mine)
        if not now.behind and not tidy:
            return
        theirs = Stamp.parse(found.metadata) if found else None
        if tidy or theirs is None or theirs.tree != mine.tree:
            # It is of no generation: the same page lists whatever there is.
            whole = self._page(PAGE, page.render(), gives_way=True)
            self._replace(whole, self._stamp(0, tree=mine.tree), self._head(PAGE))
        if now.behind:
            body = page_data.render(self._shown, subdirs=sorted(self._known.subdirs), stamp=mine)
            self._replace(self._page(PAGE_DATA, body), mine, found)

    @cached_property
    def _shown(self) -> dict[str, dict[str, Any]]:
        """What the files say of each package."""
        return channeldata.packages(self._known.packages)

    def _delete(self, files: Sequence[str], mine: Stamp) -> None:
        """Delete files of ours that an earlier configuration asked for."""
        found = filter(None, map(self._head, files))
        ours = [info.key for info in found if _is_ours(info, mine)]
        if ours:
            self._world.channel.delete(ours)

    def _stamp(self, generation: int, *, tree: str = "") -> Stamp:
        return Stamp(generation, tree, self._world.owner)

    def _page(self, file: str, body: bytes, *, gives_way: bool = False) -> Page:
        about = object_headers.of_index(file, self._world.max_age_seconds)
        key = channel_file(self._channel, file)
        return Page(key, body, about, gives_way=gives_way)

    def _head(self, file: str) -> ObjectInfo | None:
        return self._world.channel.head(channel_file(self._channel, file))

    def _replace(self, page: Page, mine: Stamp, found: ObjectInfo | None) -> ETag | None:
        done = replace(self._world.channel, page, mine, found=found)
        self._report.files_written += done.etag is not None
        self._report.foreign_overwritten += done.foreign_overwritten
        self._report.foreign_kept += done.standing is Standing.FOREIGN
        return done.etag


def _is_ours(found: ObjectInfo, mine: Stamp) -> bool:
    theirs = Stamp.parse(found.metadata)
    return theirs is not None and theirs.owner == mine.owner and theirs.generation < mine.generation
