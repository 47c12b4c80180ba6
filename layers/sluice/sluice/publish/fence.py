"""The fence: no published file is ever replaced by one of an older generation.

Every mutable file carries its generation in its body, which makes every ETag unique, and in its
user metadata with the owner.  It is replaced only under ``If-Match`` on what was looked at.

A file of an older generation of ours that is still the version that was looked at proves that
nothing newer was published since, however long the publisher slept in between.  Nothing, or a file
of another tool, proves no such thing: somebody may have deleted what was published meanwhile, and
another tool may write the very same bytes again.  So before these are written over, the head is
looked at, and the write has a deadline that is counted from that look.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from sluice.conda.timestamps import EpochMs
from sluice.errors import ForeignOwner, TooLate, Unavailable
from sluice.limits import SWAP_SECONDS_MAX, WRITE_ATTEMPTS_MAX
from sluice.storage.object_store import ETag, ObjectHeaders, ObjectInfo, ObjectStore, PreparedPut

_GENERATION = "sluice-generation"
_TREE = "sluice-tree"
_OWNER = "sluice-owner"
_COMPANION = "sluice-companion"
_SNAPSHOT = "snapshot of "


@dataclass(frozen=True, slots=True)
class Stamp:
    """The publisher of a file, and the tree that it was rendered from."""

    generation: int
    tree: str
    """Digest of the tree that the file was rendered from."""
    owner: str
    """Name of the state bucket that the file was rendered from: two stacks on one state agree."""

    @property
    def is_of_snapshot(self) -> bool:
        """Whether the file belongs to a snapshot, a channel without a stack that never changes."""
        return self.owner.startswith(_SNAPSHOT)

    @property
    def metadata(self) -> dict[str, str]:
        """The stamp as user metadata of the object."""
        return {_GENERATION: str(self.generation), _TREE: self.tree, _OWNER: self.owner}

    @property
    def body(self) -> dict[str, int | str]:
        """The stamp in the form of a file's body; CEP 36 tells clients to ignore the key."""
        return {"generation": self.generation, "tree": self.tree}

    @classmethod
    def parse(cls, metadata: Mapping[str, str]) -> Stamp | None:
        """Parse a stamp; ``None`` if the object is not sluice's."""
        generation = metadata.get(_GENERATION, "")
        if not generation.isdecimal():
            return None
        return cls(int(generation), metadata.get(_TREE, ""), metadata.get(_OWNER, ""))


def snapshot_owner(details: str) -> str:
    """The owner of a snapshot's files; ``details``, in ASCII, says what it is and as of when."""
    return f"{_SNAPSHOT}{details}"


def companion_metadata(etag: ETag) -> dict[str, str]:
    """Metadata of a file that is written right after another one, with that file's ETag."""
    return {_COMPANION: etag}


def find_companion(info: ObjectInfo, key: str) -> ObjectInfo | None:
    """The file at ``key`` that existed when ``info`` was written, according to its metadata.

    It serves as well as a HEAD, because a file is only replaced under the condition that it is
    still that very version.
    """
    etag = info.metadata.get(_COMPANION)
    if not etag:
        return None
    return ObjectInfo(key, ETag(etag), size=0, modified=info.modified, metadata=info.metadata)


class FileState(Enum):
    """The relation of an existing file to the generation to be published."""

    MISSING = auto()
    OLDER = auto()
    FOREIGN = auto()
    """Written by another tool, or by another stack that is being taken over from."""
    SAME = auto()
    NEWER = auto()

    @property
    def needs_write(self) -> bool:
        """Whether the file has to be written."""
        return self in (FileState.MISSING, FileState.OLDER, FileState.FOREIGN)


def file_state(info: ObjectInfo | None, ours: Stamp, *, adopt: bool = False) -> FileState:
    """Compare an existing file with the one to be published.

    Another stack's file raises ``ForeignOwner``, or, with ``adopt``, counts as another tool's.
    """
    if info is None:
        return FileState.MISSING
    current = Stamp.parse(info.metadata)
    if current is None:
        return FileState.FOREIGN
    if current.owner != ours.owner:
        if adopt:
            return FileState.FOREIGN
        raise ForeignOwner(
            f"the state {current.owner} publishes {info.key}, not this state ({ours.owner}), so "
            f"nothing was changed. To use {current.owner}, set --state or --stack. To publish from "
            "this state, run sluice index --adopt or sluice reconcile --adopt"
        )
    if current.generation > ours.generation:
        return FileState.NEWER
    # The same generation with another tree is of a discarded history: the head was restored.
    return FileState.SAME if current == ours else FileState.OLDER


@dataclass(frozen=True, slots=True)
class ReplaceResult:
    """The result of an attempt to publish one file."""

    state: FileState
    """The relation of the current file to ours; ``SAME`` once it is written.

    ``FOREIGN`` only for a file with ``keep_foreign``."""
    foreign_overwritten: int
    """Versions of other tools that were overwritten (0 or 1, more if a tool keeps writing)."""
    etag: ETag | None = field(default=None, compare=False)
    """ETag of the version that was written; ``None`` if none was."""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file to publish."""

    key: str
    body: bytes
    headers: ObjectHeaders
    keep_foreign: bool = False
    """Whether to keep a file of that name that is not sluice's."""
    prepared: PreparedPut | None = None
    """Its first write, if ``prepare_file`` began it; the caller aborts it at the end."""

    def with_metadata(self, metadata: Mapping[str, str]) -> PublishedFile:
        """The same file with more metadata."""
        return dataclasses.replace(
            self, headers=dataclasses.replace(self.headers, metadata=metadata)
        )


def prepare_file(
    store: ObjectStore, file: PublishedFile, ours: Stamp, *, info: ObjectInfo | None
) -> PreparedPut:
    """Begin to write a file over the version ``info``, but do not make it visible."""
    metadata = {**file.headers.metadata, **ours.metadata}
    headers = dataclasses.replace(file.headers, metadata=metadata)
    expected = info.etag if info else None
    return store.prepare_put(file.key, file.body, headers, expected=expected)


def replace_file(
    store: ObjectStore,
    file: PublishedFile,
    ours: Stamp,
    *,
    info: ObjectInfo | None,
    adopt: bool = False,
    archive_foreign: Callable[[], None] | None = None,
    is_newest: Callable[[], bool] | None = None,
) -> ReplaceResult:
    """Write a file unless the same or a newer generation is there.

    ``info`` is the caller's first HEAD.  ``archive_foreign`` is called before another tool's
    version is overwritten.  ``is_newest`` returns whether ours is still the newest.  It is called
    before a write over another tool's version or over no object.  That is after the HEAD, so that a
    later write of a newer generation makes our condition fail.

    After anything but a plain success, the file is read again: our own late write then shows as
    ``SAME``.  Raises ``ForeignOwner``, and ``Unavailable`` after a bounded number of tries.
    """
    foreign, prepared = 0, file.prepared
    for _ in range(WRITE_ATTEMPTS_MAX):
        state = file_state(info, ours, adopt=adopt)
        if not state.needs_write or (file.keep_foreign and state is FileState.FOREIGN):
            return ReplaceResult(state, foreign)
        not_after_ms: EpochMs | None = None
        if state is not FileState.OLDER and is_newest:
            not_after_ms = store.now_ms() + SWAP_SECONDS_MAX * 1000
            if not is_newest():
                return ReplaceResult(FileState.NEWER, foreign)
        if archive_foreign and state is FileState.FOREIGN:
            archive_foreign()
        put, prepared = prepared or prepare_file(store, file, ours, info=info), None
        with suppress(TooLate):
            etag = put.complete(not_after_ms=not_after_ms)
            if etag is not None:
                return ReplaceResult(FileState.SAME, foreign + (state is FileState.FOREIGN), etag)
        info = store.head(file.key)
    raise Unavailable(f"{file.key} could not be replaced in {WRITE_ATTEMPTS_MAX} attempts")
