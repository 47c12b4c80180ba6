"""Waits until uploaded packages are in every form of the index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import msgspec

from sluice.admin.changes.remove import locate_packages
from sluice.admin.changes.wait_published import Pause, is_published
from sluice.admin.session.channel import Channel
from sluice.catalog.entry import Entry, Pin, Record, Reject, is_rejected
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.conda.names import package_name
from sluice.errors import NotFound
from sluice.layout import Subdir
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import describe_object
from sluice.storage.versioned_object import ObjectVersion, read_newest

POLL_SECONDS = 1.0
_NOT_UPLOADED = "it is not in the bucket"
_NOT_JUDGED = "it is in the bucket, but not yet in the catalog"
_NOT_PUBLISHED = "it is in the catalog, but not yet in every index file"


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """How a package is, as it was seen last."""

    package: str
    """As it was named."""
    subdir: str | None
    """``None`` if it is not known in which one it is."""
    file: str
    state: Literal["indexed", "rejected", "pinned", "waiting"]
    """*indexed*: in every form that clients read; *rejected*, *pinned*: this upload will not be in
    the index; *waiting*: none of these."""
    generation: int | None = None
    """A generation that has the package; every index file is of this one or a later one."""
    code: str | None = None
    """Of a reject."""
    reason: str | None = None
    """A sentence, unless it is indexed."""

    @property
    def is_final(self) -> bool:
        """Whether waiting changes nothing."""
        return self.state != "waiting"

    @property
    def is_refused(self) -> bool:
        """Whether this upload will not be in the index."""
        return self.state in ("rejected", "pinned")


def wait_until_indexed(
    channel: Channel,
    packages: Iterable[str],
    *,
    seconds_max: float,
    pause: Pause = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Waited]:
    """Wait until all packages are indexed, one is refused, or the time is up; each as it is then.

    ``packages`` are named by ``subdir/file``, or by the file alone if only one subdir has it.
    Nothing is indexed here: a stack does that, or ``sluice watch``.  Raises ``Misused`` and
    ``Unavailable``.

    >>> [one.state for one in wait_until_indexed(channel, ["alpha-1.0-0.conda"], seconds_max=9)]
    ['indexed']
    """
    end = monotonic() + seconds_max
    waiting = [_Wait(channel, package) for package in dict.fromkeys(packages)]
    while True:
        for wait in waiting:
            wait.look()
        seen = [wait.seen for wait in waiting]
        is_over = all(one.is_final for one in seen) or any(one.is_refused for one in seen)
        if is_over or monotonic() >= end:
            return seen
        pause(min(POLL_SECONDS, max(end - monotonic(), 0.0)))


@dataclass(slots=True)
class _Wait:
    """The wait for one package."""

    channel: Channel
    package: str
    seen: Waited = field(init=False)
    _subdir: Subdir | None = field(default=None, init=False)
    _generation: int | None = field(default=None, init=False)
    """The generation in which the package was first seen."""
    _identity: ObjectId | None = field(default=None, init=False)
    """The object that this generation has."""

    def __post_init__(self) -> None:
        self.seen = self._waited("waiting", reason=_NOT_UPLOADED)

    def look(self) -> None:
        """Look at the package, unless that changes nothing any more."""
        if not self.seen.is_final:
            self.seen = self._look()

    def _look(self) -> Waited:
        if self._subdir is None:
            try:
                (self._subdir,) = locate_packages(self.channel, [self.package])
            except NotFound:
                return self._waited("waiting", reason=_NOT_UPLOADED)
        info = describe_object(self.channel.public, self._subdir.file_key(self._file))
        if info is None:
            return self._waited("waiting", reason=_NOT_UPLOADED)
        identity = ObjectId.from_info(info)
        if self._identity != identity:  # none so far, or it was uploaded again
            head = head_object(self.channel.state, self._subdir)
            verdict = read_newest(head, partial(self._read_verdict, self._subdir, identity))
            if verdict is not None:
                return verdict
        generation = self._generation or 0
        if not is_published(self.channel, self._subdir, generation):
            return self._waited("waiting", generation=generation, reason=_NOT_PUBLISHED)
        return self._waited("indexed", generation=generation)

    def _read_verdict(
        self, subdir: Subdir, identity: ObjectId, version: ObjectVersion[Head]
    ) -> Waited | None:
        """What the catalog says of this upload; ``None`` if it has a record of it."""
        catalog = CatalogReader(self.channel.state, subdir, self.channel.executor)
        tree = catalog.tree(version.value.tree)
        (entries,) = catalog.entries([tree.names.get(package_name(self._file))])
        entry = entries.get(self._file)
        if refusal := self._refusal(entry, identity):
            return refusal
        if not _has_record(entry, identity) or not tree.public:
            return self._waited("waiting", reason=_NOT_JUDGED)
        self._generation, self._identity = version.value.generation, identity
        return None

    def _refusal(self, entry: Entry | None, identity: ObjectId) -> Waited | None:
        if entry is None or entry.identity != identity:
            return None
        match entry:
            case Reject(code=code, sentence=sentence) if is_rejected(entry):
                return self._waited("rejected", code=code, reason=sentence or code)
            case Pin(reason=reason):
                return self._waited("pinned", reason=f"it is kept out of the index: {reason}")
        return None

    def _waited(
        self,
        state: Literal["indexed", "rejected", "pinned", "waiting"],
        *,
        generation: int | None = None,
        code: str | None = None,
        reason: str | None = None,
    ) -> Waited:
        return Waited(
            package=self.package,
            subdir=self._subdir.name if self._subdir else None,
            file=self._file,
            state=state,
            generation=generation,
            code=code,
            reason=reason,
        )

    @property
    def _file(self) -> str:
        return self.package.rpartition("/")[2]


def _has_record(entry: Entry | None, identity: ObjectId) -> bool:
    """Whether it is a record of that content.  The same bytes may have been uploaded again."""
    if not isinstance(entry, Record) or entry.identity is None:
        return False
    return (entry.identity.etag, entry.identity.size) == (identity.etag, identity.size)
