"""The merge of a channel: from the notes of its subdirs to its files.

Two at once are correct, as two merges of one subdir are, but for a simpler reason.  Folding notes
is commutative and idempotent, so a note that two merges read, or that comes late, does no harm.
Only the order of the steps matters: the state is swapped before anything is published from it, and
notes are deleted last.

A window with one note costs 9 requests: LIST and GET the note, GET and PUT the state, GET the
binding (``bucket_check``), HEAD ``channeldata.json``, PUT ``rss.xml`` under the ETag in the
metadata of ``channeldata.json``, PUT ``channeldata.json``, DELETE the note.  Each further note
costs one more, and the page two (a HEAD and a PUT of its data).  If the configuration was read,
``notices.json`` costs two, the page a HEAD, and each file that is turned off one or two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any, Literal

import msgspec

from sluice.channel_files import channeldata, notices, page, page_data, rss, state
from sluice.channel_files import note as notes
from sluice.channel_files.note import Note
from sluice.channel_files.state import EMPTY_STATE, ChannelState
from sluice.conda.names import NOARCH
from sluice.errors import Corrupt, TooNew
from sluice.layout import (
    CHANNELDATA,
    NOTICES,
    PAGE,
    PAGE_DATA,
    REPODATA,
    RSS,
    Subdir,
    channel_file_key,
    state_prefix,
    unreadable_note_key,
)
from sluice.limits import CHANNEL_NOTES_MAX
from sluice.publish.bucket_check import BucketCheck
from sluice.publish.fence import (
    FileState,
    PublishedFile,
    Stamp,
    companion_metadata,
    file_state,
    find_companion,
    replace_file,
)
from sluice.runtime import Runtime
from sluice.storage import object_headers
from sluice.storage.object_store import ETag, ObjectInfo
from sluice.storage.versioned_object import LOST, ObjectVersion, Swap, commit_loop

_FILES = (CHANNELDATA, RSS, NOTICES, PAGE, PAGE_DATA)


@dataclass(frozen=True, slots=True)
class ChannelMergeContext:
    """The dependencies of a merge of a channel."""

    runtime: Runtime
    bucket_check: BucketCheck
    owner: str
    """The owner in a ``Stamp``."""
    max_age_seconds: int
    """How long clients may cache a file."""


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
    """1 if an ``index.html`` that is not sluice's was kept."""


@dataclass(slots=True)
class _NoteBatch:
    """Some notes."""

    notes: list[Note] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, bytes]] = field(default_factory=list)
    too_new: int = 0
    resume_after: str | None = None
    """The key after which the rest starts; ``None``: these were all."""

    @property
    def tidy(self) -> bool:
        """Whether the configuration may have changed, or the request came without a note."""
        return not self.notes or any(note.everything for note in self.notes)


def merge_channel(ctx: ChannelMergeContext, channel: str) -> ChannelReport:
    """Fold the notes of a channel into its state, and publish the state.

    Raises ``Unavailable``, ``Corrupt``, ``TooNew``, ``ForeignOwner`` and ``WrongState``.  The notes
    are then kept.
    """
    report = ChannelReport()
    batch = _read_notes(ctx, channel, after=None)
    _merge_batch(ctx, channel, batch, report)
    while batch.resume_after is not None:
        batch = _read_notes(ctx, channel, after=batch.resume_after)
        _merge_batch(ctx, channel, batch, report)
    return report


def _merge_batch(
    ctx: ChannelMergeContext, channel: str, batch: _NoteBatch, report: ChannelReport
) -> None:
    versioned = state.state_object(ctx.runtime.state, channel)

    def attempt(before: ObjectVersion[ChannelState]) -> ChannelState | Literal[Swap.LOST]:
        # After the state was read, as after a head.  No first commit here can bind the channel: a
        # subdir has committed, or there is nothing to do.
        bound = ctx.runtime.executor.submit(partial(ctx.bucket_check.ensure_bound, channel))
        first = _initial_state(ctx, channel, batch.notes) if before.etag is None else before.value
        after = state.fold_notes(
            first, batch.notes, at=ctx.runtime.clock(), writer=ctx.runtime.new_id()
        )
        bound()
        if before.etag is None and not _wants_anything(after):
            return after  # no configuration ever wanted any
        if after is not before.value and versioned.swap(after, expected=before.etag) is LOST:
            return LOST
        if not _is_moved_away(ctx, channel, before.value, after):
            _publish_newest(ctx, channel, after, report, tidy=batch.tidy)
        return after

    after = commit_loop(versioned, attempt)
    for key, body in batch.unreadable:
        ctx.runtime.state.put(unreadable_note_key(key), body, object_headers.PRIVATE_ZSTD_HEADERS)
    ctx.runtime.state.delete(batch.consumed)
    report.generation = after.generation
    report.notes += len(batch.notes)
    report.set_aside += len(batch.unreadable)
    report.too_new += batch.too_new


def _publish_newest(
    ctx: ChannelMergeContext,
    channel: str,
    current: ChannelState,
    report: ChannelReport,
    *,
    tidy: bool,
) -> None:
    """Publish a state; and, if files were deleted, a newer one whose files they may have been."""
    while _ChannelFiles(ctx, channel, current, report).publish(tidy=tidy):
        newest = state.state_object(ctx.runtime.state, channel).read()
        if newest.etag is None or newest.value.writer == current.writer:
            return
        current = newest.value


def _read_notes(ctx: ChannelMergeContext, channel: str, *, after: str | None) -> _NoteBatch:
    listed = ctx.runtime.state.list(state_prefix("notes", channel), after=after)
    keys = [info.key for info in islice(listed, CHANNEL_NOTES_MAX)]
    batch = _NoteBatch(resume_after=keys[-1] if len(keys) == CHANNEL_NOTES_MAX else None)
    for key, stored in zip(
        keys, ctx.runtime.executor.map(ctx.runtime.state.get, keys), strict=True
    ):
        if stored is None:
            continue  # another merge has handled it
        try:
            batch.notes.append(notes.decode_note(stored.body, what=key))
        except TooNew:
            batch.too_new += 1
            continue
        except Corrupt:
            batch.unreadable.append((key, stored.body))
        batch.consumed.append(key)
    return batch


def _initial_state(ctx: ChannelMergeContext, channel: str, notes: Sequence[Note]) -> ChannelState:
    """The initial state, with the generation of our published files if the state was lost."""
    files = [CHANNELDATA]
    if any(note.wanted.page for note in notes):
        files.append(PAGE_DATA)
    infos = [ctx.runtime.channel.head(channel_file_key(channel, file)) for file in files]
    stamps = [Stamp.parse(info.metadata) for info in infos if info]
    ours = [stamp.generation for stamp in stamps if stamp and stamp.owner == ctx.owner]
    return msgspec.structs.replace(EMPTY_STATE, generation=max(ours)) if ours else EMPTY_STATE


def _is_moved_away(
    ctx: ChannelMergeContext, channel: str, before: ChannelState, after: ChannelState
) -> bool:
    """Whether the channel was moved away, as subdirs are (``publish.moved_away``).

    Then it has no packages, none of its files, and no ``noarch/repodata.json``.  A first merge may
    come before that index.
    """
    if after.packages or not before.subdirs:
        return False
    keys = [channel_file_key(channel, file) for file in _FILES]
    keys.append(Subdir(channel, NOARCH).file_key(REPODATA))
    return not any(map(ctx.runtime.channel.head, keys))


def _wants_anything(channel_state_key: ChannelState) -> bool:
    return channel_state_key.wanted.packages or channel_state_key.wanted.notices is not None


class _ChannelFiles:
    """The files of one state of a channel."""

    def __init__(
        self,
        ctx: ChannelMergeContext,
        channel: str,
        channel_state_key: ChannelState,
        report: ChannelReport,
    ) -> None:
        self._ctx = ctx
        self._channel = channel
        self._channel_state = channel_state_key
        self._report = report

    def publish(self, *, tidy: bool) -> bool:
        """Write stale files; ``tidy``: also those that depend only on the configuration.

        Returns whether files of an earlier configuration were deleted.
        """
        wanted = self._channel_state.wanted
        if wanted.channeldata or wanted.rss:
            self._publish_packages(tidy=tidy)
        if wanted.page:
            self._publish_page(tidy=tidy)
        if not tidy:
            return False
        ours = self._stamp(self._channel_state.generation)
        if wanted.notices is not None:
            body = notices.render_notices(wanted.notices, stamp=ours)
            self._replace(self._published_file(NOTICES, body), ours, self._head(NOTICES))
        wanted_files = {
            CHANNELDATA: wanted.channeldata,
            RSS: wanted.rss,
            PAGE: wanted.page,
            PAGE_DATA: wanted.page,
        }
        return self._delete([file for file, is_on in wanted_files.items() if not is_on], ours)

    def _publish_packages(self, *, tidy: bool) -> None:
        """Write the feed first: its ETag goes into the metadata of ``channeldata.json``.

        That saves a HEAD of the feed.  ``tidy``: check the feed even if ``channeldata.json`` is up
        to date.
        """
        wanted, ours = self._channel_state.wanted, self._stamp(self._channel_state.packages_changed)
        info: ObjectInfo | None = None
        rss_info: ObjectInfo | None = None
        if wanted.channeldata:
            info = self._head(CHANNELDATA)
            current_state = file_state(info, ours)
            if not current_state.needs_write and not tidy:
                return
            if info and current_state is FileState.OLDER:
                rss_info = find_companion(info, channel_file_key(self._channel, RSS))
        metadata: dict[str, str] = {}
        if wanted.rss:
            body = rss.render_rss(
                self._packages, channel=self._channel, at_ms=self._channel_state.at, stamp=ours
            )
            etag = self._replace(self._published_file(RSS, body), ours, rss_info or self._head(RSS))
            metadata = companion_metadata(etag) if etag else {}
        if wanted.channeldata:
            body = channeldata.render_channeldata(
                self._packages, subdirs=sorted(self._channel_state.subdirs), stamp=ours
            )
            self._replace(
                self._published_file(CHANNELDATA, body).with_metadata(metadata), ours, info
            )

    def _publish_page(self, *, tidy: bool) -> None:
        """Write the page first: its data is stamped with the page that can read it.

        So a sluice with another page writes both.  Otherwise a HEAD of the data shows that the page
        exists.  A page that somebody wrote by hand stays.
        """
        ours = self._stamp(self._channel_state.packages_changed, tree=page.page_digest())
        info = self._head(PAGE_DATA)
        current_state = file_state(info, ours)
        if not current_state.needs_write and not tidy:
            return
        current = Stamp.parse(info.metadata) if info else None
        if tidy or current is None or current.tree != ours.tree:
            # It has no generation: the same page shows any data.
            page_file = self._published_file(PAGE, page.render_page(), keep_foreign=True)
            self._replace(page_file, self._stamp(0, tree=ours.tree), self._head(PAGE))
        if current_state.needs_write:
            body = page_data.render_page_data(
                self._packages,
                subdirs=sorted(self._channel_state.subdirs),
                stamp=ours,
                s3_url=f"s3://{self._ctx.bucket_check.bucket}/{self._channel}".rstrip("/"),
            )
            self._replace(self._published_file(PAGE_DATA, body), ours, info)

    @cached_property
    def _packages(self) -> dict[str, dict[str, Any]]:
        """The channeldata of each package."""
        return channeldata.channeldata_packages(self._channel_state.packages)

    def _delete(self, files: Sequence[str], ours: Stamp) -> bool:
        """Delete files of ours from an earlier configuration; returns whether there were any.

        The merge of a newer state may have written one of them after our HEAD.
        """
        infos = filter(None, map(self._head, files))
        outdated_keys = [info.key for info in infos if _is_outdated(info, ours)]
        if outdated_keys:
            self._ctx.runtime.channel.delete(outdated_keys)
        return bool(outdated_keys)

    def _stamp(self, generation: int, *, tree: str = "") -> Stamp:
        return Stamp(generation, tree, self._ctx.owner)

    def _published_file(
        self, file: str, body: bytes, *, keep_foreign: bool = False
    ) -> PublishedFile:
        headers = object_headers.index_file_headers(file, self._ctx.max_age_seconds)
        key = channel_file_key(self._channel, file)
        return PublishedFile(key, body, headers, keep_foreign=keep_foreign)

    def _head(self, file: str) -> ObjectInfo | None:
        return self._ctx.runtime.channel.head(channel_file_key(self._channel, file))

    def _replace(self, file: PublishedFile, ours: Stamp, info: ObjectInfo | None) -> ETag | None:
        result = replace_file(self._ctx.runtime.channel, file, ours, info=info)
        self._report.files_written += result.etag is not None
        self._report.foreign_overwritten += result.foreign_overwritten
        self._report.foreign_kept += result.state is FileState.FOREIGN
        return result.etag


def _is_outdated(info: ObjectInfo, ours: Stamp) -> bool:
    current = Stamp.parse(info.metadata)
    return (
        current is not None and current.owner == ours.owner and current.generation < ours.generation
    )
