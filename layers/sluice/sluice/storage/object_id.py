"""The identity of one version of an object."""

from __future__ import annotations

import msgspec

from sluice.conda.timestamps import EpochMs
from sluice.storage.object_store import ObjectInfo


class ObjectId(msgspec.Struct, frozen=True):
    """The identity of one upload to one key.

    All three parts count.  An ETag depends on the content alone, so it can recur, and LastModified
    has whole seconds only.
    """

    etag: str
    modified: int
    """LastModified, seconds since the epoch."""
    size: int
    """Bytes."""

    @classmethod
    def placeholder(cls, *, at: EpochMs, size: int) -> ObjectId:
        """An identity that no object has, for a missing file in a commit at ``at``."""
        return cls(etag="", modified=at // 1000, size=size)

    @property
    def is_placeholder(self) -> bool:
        """Whether the file did not exist when this was recorded."""
        return not self.etag

    @classmethod
    def from_info(cls, info: ObjectInfo) -> ObjectId:
        """The identity of an object, from its S3 metadata."""
        return cls(etag=info.etag, modified=info.modified, size=info.size)
