"""What is known of a whole channel: one object, swapped as a head is.

Folding notes into it is commutative and idempotent: of each name in each subdir the newest
generation is kept, also where it says that there is nothing, so it does not matter in which order
notes come, how often, or which of two merges folds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from sluice.catalog.codec import FORMAT, pack, unpack
from sluice.channel_files.contribution import Contribution
from sluice.channel_files.note import Note, Wanted
from sluice.conda.names import NOARCH
from sluice.layout import channel_state
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore
from sluice.storage.versioned_object import VersionedObject


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a subdir said of a name last."""

    generation: int
    """Of the subdir."""
    data: Contribution | None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one subdir."""

    generation: int
    """The newest that a note was of: ``wanted`` is of that."""
    wanted: Wanted
    since: int
    """The newest generation whose note told everything; what is older is void."""
    names: dict[str, Said]


class ChannelState(msgspec.Struct, frozen=True, kw_only=True):
    """As stored."""

    generation: int
    """Grows with every change."""
    at: int
    """When ``packages_changed`` was made, ms since the epoch."""
    writer: str
    """Unique to one attempt to swap, as in a head."""
    packages_changed: int
    """The generation that last changed what channeldata and the feed are made of."""
    subdirs: dict[str, Part]
    format: int = FORMAT

    @property
    def wanted(self) -> Wanted:
        """Which files there should be: noarch, which every channel has, says it for all."""
        if not self.subdirs:
            return Wanted()
        return self.subdirs[min(self.subdirs, key=lambda name: (name != NOARCH, name))].wanted

    @property
    def packages(self) -> dict[str, dict[str, Contribution]]:
        """By name, what each subdir says."""
        found: dict[str, dict[str, Contribution]] = {}
        for subdir, part in sorted(self.subdirs.items()):
            for name, said in part.names.items():
                if said.data is not None:
                    found.setdefault(name, {})[subdir] = said.data
        return dict(sorted(found.items()))


NOTHING = ChannelState(generation=0, at=0, writer="", packages_changed=0, subdirs={})


def state_object(store: ObjectStore, channel: str) -> VersionedObject[ChannelState]:
    """The state of a channel, to be read and swapped."""
    return VersionedObject(
        store=store,
        key=channel_state(channel),
        name=f"the state of the channel {channel!r}",
        initial=NOTHING,
        encode=pack,
        decode=_decode_state,
        headers=object_headers.PRIVATE_ZSTD,
    )


def fold(state: ChannelState, notes: Iterable[Note], *, at: int, writer: str) -> ChannelState:
    """The state after some notes; the very same where they say nothing new."""
    subdirs = dict(state.subdirs)
    for note in notes:
        subdirs[note.subdir] = _fold(subdirs.get(note.subdir), note)
    if subdirs == state.subdirs:
        return state
    generation = state.generation + 1
    after = ChannelState(
        generation=generation,
        at=max(at, state.at + 1),
        writer=writer,
        packages_changed=state.packages_changed,
        subdirs=subdirs,
    )
    if _shown(after) == _shown(state):
        # The feed carries the time, and is of the generation that changed what is shown.
        return msgspec.structs.replace(after, at=state.at)
    return msgspec.structs.replace(after, packages_changed=generation)


def _decode_state(body: bytes, *, what: str) -> ChannelState:
    return unpack(body, ChannelState, what=what)


def _fold(part: Part | None, note: Note) -> Part:
    if part is None:
        part = Part(generation=-1, wanted=note.wanted, since=0, names={})
    since = max(part.since, note.generation if note.everything else 0)
    newest = note.generation >= part.generation
    names = {name: said for name, said in part.names.items() if said.generation >= since}
    for name, data in note.names.items():
        known = names.get(name)
        if note.generation >= since and (known is None or known.generation <= note.generation):
            names[name] = Said(generation=note.generation, data=data)
    return Part(
        generation=max(part.generation, note.generation),
        wanted=note.wanted if newest else part.wanted,
        since=since,
        names=names,
    )


def _shown(state: ChannelState) -> tuple[tuple[bool, ...], list[str], Mapping[str, object]]:
    """What decides what the files that tell of packages hold, and which there are."""
    wanted = state.wanted
    files = wanted.channeldata, wanted.rss, wanted.page
    return files, sorted(state.subdirs), state.packages
