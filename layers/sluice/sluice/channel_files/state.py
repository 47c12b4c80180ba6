"""The state of a whole channel: one object, swapped as a head is.

Folding notes into it is commutative and idempotent.  For each name in each subdir it keeps the
newest generation, even if that has no package of the name.  So it does not matter in which order
notes come, how often, or which of two merges folds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import msgspec

from sluice.catalog.codec import pack_struct, unpack_struct
from sluice.channel_files.contribution import Contribution
from sluice.channel_files.note import Note, WantedFiles
from sluice.conda.names import NOARCH
from sluice.conda.timestamps import EpochMs
from sluice.layout import channel_state_key
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore
from sluice.storage.versioned_object import VersionedObject

FORMAT = 1
"""The newest format of channel states that this version reads, and the one that it writes."""


class NameState(msgspec.Struct, frozen=True, kw_only=True):
    """The latest state of a name in a subdir."""

    generation: int
    """Generation of the subdir."""
    data: Contribution | None


class SubdirState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one subdir."""

    generation: int
    """The newest generation of any note; ``wanted`` is from that note."""
    wanted: WantedFiles
    since: int
    """The newest generation whose note had all names; older notes do not count."""
    names: dict[str, NameState]


class ChannelState(msgspec.Struct, frozen=True, kw_only=True):
    """The stored state."""

    generation: int
    """Grows with every change."""
    at: EpochMs
    """Time of the change of ``packages_changed``."""
    writer: str
    """Unique to one attempt to swap, as in a head."""
    packages_changed: int
    """The generation that last changed the content of channeldata and the feed."""
    subdirs: dict[str, SubdirState]
    format: int = FORMAT

    @property
    def wanted(self) -> WantedFiles:
        """The files that should exist, by the configuration of noarch, which every channel has."""
        if not self.subdirs:
            return WantedFiles()
        return self.subdirs[min(self.subdirs, key=lambda name: (name != NOARCH, name))].wanted

    @property
    def packages(self) -> dict[str, dict[str, Contribution]]:
        """By name, the contribution of each subdir."""
        by_name: dict[str, dict[str, Contribution]] = {}
        for subdir, part in sorted(self.subdirs.items()):
            for name, name_state in part.names.items():
                if name_state.data is not None:
                    by_name.setdefault(name, {})[subdir] = name_state.data
        return dict(sorted(by_name.items()))


EMPTY_STATE = ChannelState(generation=0, at=0, writer="", packages_changed=0, subdirs={})


def state_object(store: ObjectStore, channel: str) -> VersionedObject[ChannelState]:
    """The state of a channel, for reading and swapping."""
    return VersionedObject(
        store=store,
        key=channel_state_key(channel),
        name=f"the state of the channel {channel!r}",
        initial=EMPTY_STATE,
        encode=partial(pack_struct, what="the channel state"),
        decode=_decode_state,
        headers=object_headers.PRIVATE_ZSTD_HEADERS,
    )


def fold_notes(
    state: ChannelState, notes: Iterable[Note], *, at: EpochMs, writer: str
) -> ChannelState:
    """The state after some notes; the same object if they change nothing."""
    subdirs = dict(state.subdirs)
    for note in notes:
        subdirs[note.subdir] = _fold_note(subdirs.get(note.subdir), note)
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
    if _visible_content(after) == _visible_content(state):
        # The feed contains the time, and belongs to the generation that changed its content.
        return msgspec.structs.replace(after, at=state.at)
    return msgspec.structs.replace(after, packages_changed=generation)


def _decode_state(body: bytes, *, what: str) -> ChannelState:
    return unpack_struct(body, ChannelState, newest=FORMAT, what=what)


def _fold_note(subdir_state: SubdirState | None, note: Note) -> SubdirState:
    if subdir_state is None:
        subdir_state = SubdirState(generation=-1, wanted=note.wanted, since=0, names={})
    since = max(subdir_state.since, note.generation if note.everything else 0)
    newest = note.generation >= subdir_state.generation
    names = {
        name: name_state
        for name, name_state in subdir_state.names.items()
        if name_state.generation >= since
    }
    for name, data in note.names.items():
        known = names.get(name)
        if note.generation >= since and (known is None or known.generation <= note.generation):
            names[name] = NameState(generation=note.generation, data=data)
    return SubdirState(
        generation=max(subdir_state.generation, note.generation),
        wanted=note.wanted if newest else subdir_state.wanted,
        since=since,
        names=names,
    )


def _visible_content(
    state: ChannelState,
) -> tuple[tuple[bool, ...], list[str], Mapping[str, object]]:
    """The values that decide the content of the files that show packages, and which exist."""
    wanted = state.wanted
    files = wanted.channeldata, wanted.rss, wanted.page
    return files, sorted(state.subdirs), state.packages
