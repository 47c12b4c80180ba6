"""Reads the current version of a published file, before it is replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sluice import zstd
from sluice.concurrency import in_order
from sluice.storage.object_store import ObjectInfo, OpenObject, StoredObject


@dataclass(frozen=True, slots=True)
class PreviousFile:
    """A version from which the next one may be made."""

    info: ObjectInfo
    content: Callable[[], bytes]
    """Returns the uncompressed content, each time it is called; raises ``Corrupt``."""

    @classmethod
    def from_stored(cls, stored: StoredObject) -> PreviousFile:
        """Decompress a body that was read; raises nothing before the content is requested."""
        return cls(
            stored.info, in_order.submit(lambda: _decompressed(stored.info.key, stored.body))
        )

    @classmethod
    def from_open(cls, opened: OpenObject) -> PreviousFile:
        """Read an open object later: call ``load`` before it is closed."""
        return cls(opened.info, lambda: _decompressed(opened.info.key, b"".join(opened.chunks)))

    def load(self) -> PreviousFile:
        """Read the content now, unless that was done."""
        return PreviousFile(self.info, in_order.submit(self.content))


def _decompressed(key: str, body: bytes) -> bytes:
    return zstd.decompress(body) if key.endswith(".zst") else body
