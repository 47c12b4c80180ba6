"""What is known of a whole channel: one object, swapped as a head is.

Folding notes into it is commutative and idempotent: of each name in each subdir the newest
generation is kept, also where it says that there is nothing, so it does not matter in which order
notes come, how often, or which of two merges folds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from sluice.catalog.codec import FORMAT, pack_struct, unpack_struct
from sluice.channel_files.contribution import Contribution
from sluice.channel_files.note import Note, WantedFiles
from sluice.conda.names import NOARCH
from sluice.layout import channel_state_key
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore
from sluice.storage.versioned_object import VersionedObject


class NameState(msgspec.Struct, frozen=True, kw_only=True):
    """What a subdir said of a name last."""

    generation: int
    """Of the subdir."""
    data: Contribution | None


class SubdirState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one subdir."""

    generation: int
    """The newest that a note was of: ``wanted`` is of that."""
    wanted: WantedFiles
    since: int
    """The newest generation whose note told everything; what is older is void."""
    names: dict[str, NameState]


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
    subdirs: dict[str, SubdirState]
    format: int = FORMAT

    @property
    def wanted(self) -> WantedFiles:
        """Which files there should be: noarch, which every channel has, says it for all."""
        if not self.subdirs:
            return WantedFiles()
        return self.subdirs[min(self.subdirs, key=lambda name: (name != NOARCH, name))].wanted

    @property
    def packages(self) -> dict[str, dict[str, Contribution]]:
        """By name, what each subdir says."""
        by_name: dict[str, dict[str, Contribution]] = {}
        for subdir, part in sorted(self.subdirs.items()):
            for name, name_state in part.names.items():
                if name_state.data is not None:
                    by_name.setdefault(name, {})[subdir] = name_state.data
        return dict(sorted(by_name.items()))


EMPTY_STATE = ChannelState(generation=0, at=0, writer="", packages_changed=0, subdirs={})


def state_object(store: ObjectStore, channel: str) -> VersionedObject[ChannelState]:
    """The state of a channel, to be read and swapped."""
    return VersionedObject(
        store=store,
        key=channel_state_key(channel),
        name=f"the state of the channel {channel!r}",
        initial=EMPTY_STATE,
        encode=pack_struct,
        decode=_decode_state,
        headers=object_headers.PRIVATE_ZSTD_HEADERS,
    )


def fold_notes(state: ChannelState, notes: Iterable[Note], *, at: int, writer: str) -> ChannelState:
    """The state after some notes; the very same where they say nothing new."""
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
        # The feed carries the time, and is of the generation that changed what is shown.
        return msgspec.structs.replace(after, at=state.at)
    return msgspec.structs.replace(after, packages_changed=generation)


def _decode_state(body: bytes, *, what: str) -> ChannelState:
    return unpack_struct(body, ChannelState, what=what)


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
    """What decides what the files that tell of packages hold, and which there are."""
    wanted = state.wanted
    files = wanted.channeldata, wanted.rss, wanted.page
    return files, sorted(state.subdirs), state.packages
