"""The head of a subdir: the only mutable object of its catalog."""

from __future__ import annotations

import msgspec

from sluice.catalog.codec import unpack_json
from sluice.layout import Subdir
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore
from sluice.storage.versioned_object import ObjectVersion, VersionedObject

FORMAT = 1
"""The newest format of heads that this version reads, and the one that it writes."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a subdir."""

    generation: int
    """Grows by at least one with every change of content; 0 before the first commit."""
    epoch: int
    """Grows when staging was consumed and nothing changed.  That swap fences off merges that still
    run with an older head."""
    commit: str | None
    tree: str | None
    writer: str
    """Unique to one attempt to swap: distinguishes one's own write from another writer's equal
    one."""
    format: int = FORMAT

    @property
    def is_tombstone(self) -> bool:
        """Whether the subdir was retired: it has no content, and its generations go on counting."""
        return self.tree is None and self.generation > 0

    def next_epoch(self, writer: str) -> Head:
        """The same content in the next epoch."""
        return msgspec.structs.replace(self, epoch=self.epoch + 1, writer=writer)


BEFORE_FIRST = ObjectVersion(Head(generation=0, epoch=0, commit=None, tree=None, writer=""), None)
"""The value for a head that does not exist."""


def head_object(state: ObjectStore, subdir: Subdir) -> VersionedObject[Head]:
    """The head of a subdir, for reading and swapping."""
    return VersionedObject(
        store=state,
        key=subdir.head_key,
        name=f"the head of {subdir.component}",
        initial=BEFORE_FIRST.value,
        encode=msgspec.json.encode,
        decode=decode_head,
        headers=object_headers.PRIVATE_JSON_HEADERS,
    )


def read_head(state: ObjectStore, subdir: Subdir) -> ObjectVersion[Head]:
    """Read the head, or ``BEFORE_FIRST``; raises ``Corrupt`` and ``TooNew``."""
    return head_object(state, subdir).read()


def decode_head(body: bytes, *, what: str) -> Head:
    """Parse a head; raises ``Corrupt`` and ``TooNew``, which name ``what``."""
    return unpack_json(body, Head, newest=FORMAT, what=what)
