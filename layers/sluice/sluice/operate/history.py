"""What happened to a channel: its generations, as long as they are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from itertools import islice, takewhile

import msgspec

from sluice.catalog.commit import Commit, read_head
from sluice.keys import Subdir
from sluice.operate import past
from sluice.operate.channel import Channel
from sluice.operate.subdirs import find_subdirs


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of one subdir."""

    subdir: str
    commit: Commit


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what happened."""

    generations: list[Generation]
    """The newest first."""
    newest: dict[str, int]
    """By subdir, the generation that its head had; ``follow`` goes on behind it."""
    collected: list[str]
    """Subdirs that have been followed to the oldest generation that is kept, and had some before
    that have been collected."""


def log(channel: Channel, subdir: str | None = None, *, limit: int | None = None) -> Log:
    """Tell what happened to a channel, or to one subdir of it: at most ``limit`` generations.

    One request per generation.  Raises ``Unavailable`` and ``Corrupt``.

    >>> found = log(channel, "linux-64", limit=1)
    >>> [(one.subdir, one.commit.generation, one.commit.added) for one in found.generations]
    [('linux-64', 2, ['beta-1.0-py312_0.conda'])]
    """
    subdirs = [channel.subdir(subdir)] if subdir else find_subdirs(channel)
    walks = [_Walk(channel, one) for one in subdirs]
    ordered = merge(*walks, key=lambda one: (one.commit.at, one.commit.generation), reverse=True)
    return Log(
        generations=list(islice(ordered, limit)),
        newest={walk.subdir.name: walk.newest for walk in walks},
        collected=[walk.subdir.name for walk in walks if walk.more_was_there],
    )


def follow(
    channel: Channel,
    subdir: str | None = None,
    *,
    after: Mapping[str, int],
    wait: Callable[[], None],
) -> Iterator[Generation]:
    """Yield generations as they are committed, in order, for ever.

    ``after``: by subdir, the generation behind which to begin.  ``wait`` is called between looks,
    each of which costs a request per subdir.  Raises what ``log`` raises.
    """
    told = dict(after)
    while True:
        for one in [channel.subdir(subdir)] if subdir else find_subdirs(channel):
            head = read_head(channel.state, one).head
            known = told.get(one.name, 0)
            if head.generation != known:
                new = takewhile(
                    lambda commit: commit.generation > known,  # noqa: B023 - used at once
                    past.commits(channel, one, head),
                )
                for commit in reversed(list(new)):
                    yield Generation(subdir=one.name, commit=commit)
                told[one.name] = head.generation
        wait()


class _Walk:
    """Through the generations of one subdir, the newest first."""

    def __init__(self, channel: Channel, subdir: Subdir) -> None:
        self.subdir = subdir
        self._channel = channel
        self._head = read_head(channel.state, subdir).head
        self.newest = self._head.generation
        self.more_was_there = False

    def __iter__(self) -> Iterator[Generation]:
        last: Commit | None = None
        for last in past.commits(self._channel, self.subdir, self._head):
            yield Generation(subdir=self.subdir.name, commit=last)
        self.more_was_there = last is not None and last.parent is not None
