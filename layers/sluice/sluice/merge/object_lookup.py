"""Looking at the objects that a batch of staging records is about.

One HEAD each; where that would be many, a few LISTs of what lies between them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

from sluice.concurrency import Gather, Started
from sluice.layout import Subdir
from sluice.limits import HEADS_PER_PAGE_MAX, KEYS_PER_PAGE, LISTINGS_AT_ONCE
from sluice.storage.object_id import Identity
from sluice.storage.object_store import ObjectStore, look

Seen = dict[str, Identity]
"""The objects that are there, by filename."""


class Observation:
    """Looks at packages of one subdir, from now on."""

    def __init__(self, channel: ObjectStore, subdir: Subdir, gather: Gather) -> None:
        self._channel = channel
        self._subdir = subdir
        self._gather = gather
        self._started: dict[str, Started[Seen]] = {}

    def begin(self, filenames: Collection[str], *, files: int) -> None:
        """Start to look at some packages of a subdir that holds about so many ``files``."""
        if len(filenames) > HEADS_PER_PAGE_MAX * (files / KEYS_PER_PAGE + LISTINGS_AT_ONCE):
            ordered = sorted(filenames)
            size = -(-len(ordered) // LISTINGS_AT_ONCE)
            some = [ordered[first : first + size] for first in range(0, len(ordered), size)]
            looks = [(names, partial(self._list, names[0], names[-1])) for names in some]
        else:
            looks = [([name], partial(self._head, name)) for name in filenames]
        for names, do in looks:
            self._started |= dict.fromkeys(names, self._gather.start(do))

    def of(self, filenames: Iterable[str]) -> dict[str, Identity | None]:
        """What is there by those names, ``None`` for nothing; raises ``Unavailable``."""
        asked = sorted(set(filenames))
        missed = [name for name in asked if name not in self._started]
        seen: Seen = {}
        for found in self._gather(self._head, missed):
            seen |= found
        for name in asked:
            if name in self._started:
                found = self._started[name]()
                seen |= {name: found[name]} if name in found else {}
        return {name: seen.get(name) for name in asked}

    def _head(self, filename: str) -> Seen:
        info = look(self._channel, self._subdir.public(filename))
        return {filename: Identity.of(info)} if info else {}

    def _list(self, first: str, last: str) -> Seen:
        """Look at everything between two filenames, both included."""
        folder = self._subdir.public("")
        seen: Seen = {}
        # Nothing that is asked for sorts between a name and the same without its last character.
        for info in self._channel.list(folder, delimiter="/", after=folder + first[:-1]):
            filename = info.key.removeprefix(folder)
            if filename > last:
                break
            seen[filename] = Identity.of(info)
        return seen
