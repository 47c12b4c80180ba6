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

from sluice.errors import ForeignOwner, TooLate, Unavailable
from sluice.limits import SWAP_SECONDS_MAX, WRITE_ATTEMPTS_MAX
from sluice.storage.object_store import ETag, Headers, ObjectInfo, ObjectStore, PreparedPut

_GENERATION = "sluice-generation"
_TREE = "sluice-tree"
_OWNER = "sluice-owner"
_COMPANION = "sluice-companion"
_SNAPSHOT = "snapshot of "


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who published a file, and from what."""

    generation: int
    tree: str
    """Digest of the tree that the file was rendered from."""
    owner: str
    """Name of the state bucket that the file was rendered from: two stacks on one state agree."""

    @property
    def is_of_snapshot(self) -> bool:
        """Whether it is of no stack, but of a channel that never changes."""
        return self.owner.startswith(_SNAPSHOT)

    @property
    def metadata(self) -> dict[str, str]:
        """As user metadata of the object."""
        return {_GENERATION: str(self.generation), _TREE: self.tree, _OWNER: self.owner}

    @property
    def body(self) -> dict[str, int | str]:
        """As it stands in the body; CEP 36 tells clients to ignore the key."""
        return {"generation": self.generation, "tree": self.tree}

    @classmethod
    def parse(cls, metadata: Mapping[str, str]) -> Stamp | None:
        """Read a stamp; ``None`` where the object is not sluice's."""
        generation = metadata.get(_GENERATION, "")
        if not generation.isdecimal():
            return None
        return cls(int(generation), metadata.get(_TREE, ""), metadata.get(_OWNER, ""))


def snapshot_owner(of: str) -> str:
    """The owner of the files of a snapshot; ``of``, in ASCII, tells what and as of when."""
    return f"{_SNAPSHOT}{of}"


def companion(etag: ETag) -> dict[str, str]:
    """Metadata of a file that is written right after another, whose ETag this is."""
    return {_COMPANION: etag}


def find_companion(found: ObjectInfo, key: str) -> ObjectInfo | None:
    """The file at ``key`` that was there when ``found`` was written, as far as that tells.

    It is as good as a look: a file is only ever replaced under the condition that it still is
    that very version.
    """
    etag = found.metadata.get(_COMPANION)
    if not etag:
        return None
    return ObjectInfo(key, ETag(etag), size=0, modified=found.modified, metadata=found.metadata)


class Standing(Enum):
    """How a file that is there relates to the generation to be published."""

    MISSING = auto()
    OLDER = auto()
    FOREIGN = auto()
    """Written by another tool, or by another stack that is being taken over from."""
    SAME = auto()
    NEWER = auto()

    @property
    def behind(self) -> bool:
        """Whether the file has to be written."""
        return self in (Standing.MISSING, Standing.OLDER, Standing.FOREIGN)


def standing(found: ObjectInfo | None, mine: Stamp, *, adopt: bool = False) -> Standing:
    """Compare what is there with what is to be published.

    Another stack's file raises ``ForeignOwner``, or counts as any other tool's with ``adopt``.
    """
    if found is None:
        return Standing.MISSING
    theirs = Stamp.parse(found.metadata)
    if theirs is None:
        return Standing.FOREIGN
    if theirs.owner != mine.owner:
        if adopt:
            return Standing.FOREIGN
        raise ForeignOwner(
            f"{found.key} is published by {theirs.owner}, not by this stack ({mine.owner})"
        )
    if theirs.generation > mine.generation:
        return Standing.NEWER
    # The same generation of another tree is of a history that is not: the head was restored.
    return Standing.SAME if theirs == mine else Standing.OLDER


@dataclass(frozen=True, slots=True)
class Replaced:
    """What came of an attempt to publish one file."""

    standing: Standing
    """How the file that is there now relates to ours; ``SAME`` once it is written.

    ``FOREIGN`` only where the page gives way.
    """
    foreign_overwritten: int
    """How many versions of other tools were overwritten (0 or 1, more if one keeps writing)."""
    etag: ETag | None = field(default=None, compare=False)
    """Of the version that was written; ``None`` where none was."""


@dataclass(frozen=True, slots=True)
class Page:
    """One file to publish."""

    key: str
    body: bytes
    headers: Headers
    gives_way: bool = False
    """Whether a file of that name that is not sluice's is somebody's, and stays."""
    prepared: PreparedPut | None = None
    """Its first write, where that was begun by ``prepare``; the caller aborts it at the end."""

    def remembering(self, metadata: Mapping[str, str]) -> Page:
        """The same with more metadata."""
        return dataclasses.replace(
            self, headers=dataclasses.replace(self.headers, metadata=metadata)
        )


def prepare(
    store: ObjectStore, page: Page, mine: Stamp, *, found: ObjectInfo | None
) -> PreparedPut:
    """Begin to write a file over what was found, so far that nobody can see it."""
    metadata = {**page.headers.metadata, **mine.metadata}
    headers = dataclasses.replace(page.headers, metadata=metadata)
    expected = found.etag if found else None
    return store.prepare_put(page.key, page.body, headers, expected=expected)


def replace(
    store: ObjectStore,
    page: Page,
    mine: Stamp,
    *,
    found: ObjectInfo | None,
    adopt: bool = False,
    keep: Callable[[], None] | None = None,
    is_newest: Callable[[], bool] | None = None,
) -> Replaced:
    """Write a file unless a generation as new is there; ``found`` is the caller's first look.

    ``keep`` is called before another tool's version is overwritten.  ``is_newest`` is asked whether
    ours is still the newest before anything is written over another tool's version or over nothing:
    after the look, so that what a newer one writes later fails our condition.

    Whatever a write answered but a plain success, look again: our own late write then shows as
    ``SAME``.  Raises ``ForeignOwner``, and ``Unavailable`` after a bounded number of tries.
    """
    foreign, prepared = 0, page.prepared
    for _ in range(WRITE_ATTEMPTS_MAX):
        now = standing(found, mine, adopt=adopt)
        if not now.behind or (page.gives_way and now is Standing.FOREIGN):
            return Replaced(now, foreign)
        not_after_ms: int | None = None
        if now is not Standing.OLDER and is_newest:
            not_after_ms = store.now_ms() + SWAP_SECONDS_MAX * 1000
            if not is_newest():
                return Replaced(Standing.NEWER, foreign)
        if keep and now is Standing.FOREIGN:
            keep()
        put, prepared = prepared or prepare(store, page, mine, found=found), None
        with suppress(TooLate):
            etag = put.complete(not_after_ms=not_after_ms)
            if etag is not None:
                return Replaced(Standing.SAME, foreign + (now is Standing.FOREIGN), etag)
        found = store.head(page.key)
    raise Unavailable(f"{page.key} could not be replaced in {WRITE_ATTEMPTS_MAX} tries")
