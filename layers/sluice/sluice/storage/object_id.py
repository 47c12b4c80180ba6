"""Which object a verdict was passed on."""

from __future__ import annotations

import msgspec

from sluice.storage.object_store import ObjectInfo


class ObjectId(msgspec.Struct, frozen=True):
    """One upload of one key.

    All three parts count: an ETag follows from the content alone and so recurs, LastModified has
    whole seconds only.
    """

    etag: str
    modified: int
    """LastModified, seconds since the epoch."""
    size: int
    """Bytes."""

    @classmethod
    def placeholder(cls, *, at: int, size: int) -> ObjectId:
        """Stand for a file that is not there, in a commit at ``at`` (ms); no object has it."""
        return cls(etag="", modified=at // 1000, size=size)

    @property
    def is_placeholder(self) -> bool:
        """Whether it stands for a file that was not there when it was recorded."""
        return not self.etag

    @classmethod
    def from_info(cls, info: ObjectInfo) -> ObjectId:
        """Take the identity from what S3 says of an object."""
        return cls(etag=info.etag, modified=info.modified, size=info.size)
