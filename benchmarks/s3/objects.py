"""What is stored: buckets of objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5

from benchmarks.s3.sorted_keys import SortedKeys

_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True)
class Object:
    """One version of one object."""

    body: bytes
    etag: str
    """Quotes included."""
    modified: float
    """Seconds since the epoch."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """As they were put, with lower-case names: type, caching, user metadata, storage class."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Of the whole object: header and value."""

    @property
    def archived(self) -> bool:
        """Whether it would have to be restored before it could be read."""
        return self.headers.get("x-amz-storage-class") in _ARCHIVED


@dataclass(slots=True)
class Bucket:
    """Objects by key."""

    objects: dict[str, Object] = field(default_factory=dict)
    keys: SortedKeys = field(default_factory=SortedKeys)

    def put(self, key: str, stored: Object) -> None:
        """Store a version in place of the one that is there."""
        if key not in self.objects:
            self.keys.add(key)
        self.objects[key] = stored

    def delete(self, key: str) -> None:
        """Delete a key, whether it is there or not."""
        if self.objects.pop(key, None) is not None:
            self.keys.remove(key)

    def copy(self) -> Bucket:
        """Another one with the same objects."""
        return Bucket(dict(self.objects), self.keys.copy())


def etag(body: bytes) -> str:
    """The ETag of what was uploaded in one part."""
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'
