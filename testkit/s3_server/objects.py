"""What is stored: buckets of objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import md5
from itertools import takewhile

from sortedcontainers import SortedDict

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
    """Objects by key, in the order of keys, of which there may be a million.

    Strings compare by code points, which is the order of their UTF-8 bytes, and so S3's.
    """

    objects: SortedDict = field(default_factory=SortedDict)

    def put(self, key: str, stored: Object) -> None:
        """Store a version in place of the one that is there."""
        self.objects[key] = stored

    def delete(self, key: str) -> None:
        """Delete a key, whether it is there or not."""
        self.objects.pop(key, None)

    def keys_from(self, key: str) -> Iterator[str]:
        """The keys from the first one that is not before ``key``."""
        keys: Iterator[str] = self.objects.irange(key)
        return keys

    def age(self, prefix: str, seconds: float) -> None:
        """Date back the objects whose keys begin with ``prefix``."""
        keys = list(takewhile(lambda key: key.startswith(prefix), self.keys_from(prefix)))
        for key in keys:
            stored = self.objects[key]
            self.objects[key] = replace(stored, modified=stored.modified - seconds)

    def copy(self) -> Bucket:
        """Another one with the same objects."""
        return Bucket(SortedDict(self.objects))


def etag(body: bytes) -> str:
    """The ETag of what was uploaded in one part."""
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'
