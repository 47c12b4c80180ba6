"""An index file in its published forms: uncompressed, zstd and bzip2."""

from __future__ import annotations

import bz2

from sluice import zstd
from sluice.concurrency import Pending


def compress_for_name(file: str, body: bytes) -> bytes:
    """Compress a body as the file's name says."""
    if file.endswith(".zst"):
        return zstd.compress(body)
    return bz2.compress(body) if file.endswith(".bz2") else body


class CompressedVariants:
    """One rendered file, to be published in several forms.

    Bodies are large, so ``pop`` releases each of them.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._pending: dict[str, Pending[bytes]] = {}

    def add_pending(self, file: str, pending: Pending[bytes]) -> None:
        """Take a form that is already being compressed."""
        self._pending[file] = pending

    def pop(self, file: str) -> bytes:
        """Return a form and release it; compresses it now if it is not pending."""
        pending = self._pending.pop(file, None)
        return pending() if pending else compress_for_name(file, self.body)
