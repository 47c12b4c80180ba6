"""The version of a published file that is there now, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sluice import zstd
from sluice.concurrency import in_order
from sluice.storage.object_store import ObjectInfo, OpenObject, StoredObject


@dataclass(frozen=True, slots=True)
class PreviousFile:
    """A version that the next one may be made of."""

    info: ObjectInfo
    content: Callable[[], bytes]
    """Gives what it holds, uncompressed, each time it is asked; raises ``Corrupt``."""

    @classmethod
    def from_stored(cls, stored: StoredObject) -> PreviousFile:
        """Uncompress what was read; nothing is raised before its content is asked for."""
        return cls(
            stored.info, in_order.submit(lambda: _decompressed(stored.info.key, stored.body))
        )

    @classmethod
    def from_open(cls, opened: OpenObject) -> PreviousFile:
        """Leave what is open to be read: ``load`` it before it is closed."""
        return cls(opened.info, lambda: _decompressed(opened.info.key, b"".join(opened.chunks)))

    def load(self) -> PreviousFile:
        """Read it now, once, if that is still to be done."""
        return PreviousFile(self.info, in_order.submit(self.content))


def _decompressed(key: str, body: bytes) -> bytes:
    return zstd.decompress(body) if key.endswith(".zst") else body
