"""The log of a channel: the generations that are still kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from itertools import islice, takewhile

import msgspec

from sluice.admin.history.generations import iter_commits
from sluice.admin.session.channel import Channel
from sluice.admin.session.subdirs import find_subdirs
from sluice.catalog.commit import Commit
from sluice.catalog.head import Head, head_object
from sluice.layout import Subdir
from sluice.storage.versioned_object import ObjectVersion, read_newest


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of one subdir."""

    subdir: str
    commit: Commit


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the log."""

    generations: list[Generation]
    """The generations, newest first."""
    newest: dict[str, int]
    """By subdir, the generation of its head; ``follow`` continues after it."""
    collected: list[str]
    """Subdirs that were followed to the oldest kept generation, and had earlier ones that were
    collected."""


def log(channel: Channel, subdir: str | None = None, *, limit: int | None = None) -> Log:
    """The log of a channel, or of one of its subdirs: at most ``limit`` generations.

    One request per generation.  Raises ``Unavailable`` and ``Corrupt``.

    >>> page = log(channel, "linux-64", limit=1)
    >>> [(g.subdir, g.commit.generation, g.commit.added) for g in page.generations]
    [('linux-64', 2, ['beta-1.0-py312_0.conda'])]
    """
    subdirs = [channel.subdir(subdir)] if subdir else find_subdirs(channel)
    histories = [_SubdirHistory(channel, listed) for listed in subdirs]
    ordered = merge(
        *histories, key=lambda entry: (entry.commit.at, entry.commit.generation), reverse=True
    )
    return Log(
        generations=list(islice(ordered, limit)),
        newest={
            history.subdir.name: history.newest for history in histories if not history.is_retired
        },
        collected=[history.subdir.name for history in histories if history.has_collected_ancestors],
    )


def follow(
    channel: Channel,
    subdir: str | None = None,
    *,
    after: Mapping[str, int],
    wait: Callable[[], None],
) -> Iterator[Generation]:
    """Yield generations as they are committed, in order, forever.

    ``after``: by subdir, the generation after which to start.  ``wait`` is called between reads,
    each of which costs a request per subdir.  Raises the errors of ``log``.
    """
    newest = dict(after)
    while True:
        for followed in [channel.subdir(subdir)] if subdir else find_subdirs(channel):
            new, newest[followed.name] = _commits_after(
                channel, followed, newest.get(followed.name, 0)
            )
            for commit in reversed(new):
                yield Generation(subdir=followed.name, commit=commit)
        wait()


def _commits_after(channel: Channel, subdir: Subdir, known: int) -> tuple[list[Commit], int]:
    """The kept generations after one, newest first, and the number of the newest."""

    def read(version: ObjectVersion[Head]) -> tuple[list[Commit], int]:
        head = version.value
        if head.generation == known:
            return [], known
        new = takewhile(
            lambda commit: commit.generation > known, iter_commits(channel, subdir, head)
        )
        return list(new), head.generation

    return read_newest(head_object(channel.state, subdir), read)


class _SubdirHistory:
    """An iterator over the generations of one subdir, newest first."""

    def __init__(self, channel: Channel, subdir: Subdir) -> None:
        self.subdir = subdir
        self._channel = channel
        self.newest = 0
        self.is_retired = False
        self._commits: Iterator[Commit] = iter(())
        self._next = read_newest(head_object(channel.state, subdir), self._begin)
        self.has_collected_ancestors = False

    def _begin(self, version: ObjectVersion[Head]) -> Commit | None:
        self.newest = version.value.generation
        self.is_retired = version.value.is_tombstone
        self._commits = iter_commits(self._channel, self.subdir, version.value)
        return next(self._commits, None)

    def __iter__(self) -> Iterator[Generation]:
        while self._next:
            yield Generation(subdir=self.subdir.name, commit=self._next)
            parent = next(self._commits, None)
            self.has_collected_ancestors = parent is None and self._next.parent is not None
            self._next = parent
