"""The version of a published file that is there now, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sluice import zstd
from sluice.concurrency import in_order
from sluice.storage.object_store import ObjectInfo, OpenObject, StoredObject


@dataclass(frozen=True, slots=True)
class Previous:
    """A version that the next one may be made of."""

    info: ObjectInfo
    content: Callable[[], bytes]
    """Gives what it holds, uncompressed, each time it is asked; raises ``Corrupt``."""

    @classmethod
    def of(cls, stored: StoredObject) -> Previous:
        """Uncompress what was read; nothing is raised before its content is asked for."""
        return cls(stored.info, in_order.start(lambda: _plain(stored.info.key, stored.body)))

    @classmethod
    def opened(cls, found: OpenObject) -> Previous:
        """Leave what is open to be read: ``keep`` it before it is closed."""
        return cls(found.info, lambda: _plain(found.info.key, b"".join(found.chunks)))

    def keep(self) -> Previous:
        """Read it now, once, if that is still to be done."""
        return Previous(self.info, in_order.start(self.content))


def _plain(key: str, body: bytes) -> bytes:
    return zstd.decompress(body) if key.endswith(".zst") else body
