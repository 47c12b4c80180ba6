"""An index file in its published forms: uncompressed, zstd and bzip2."""

from __future__ import annotations

import bz2

from sluice import zstd


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
        self._prepared: dict[str, bytes] = {}

    def prepare(self, file: str) -> None:
        """Compress a form that will be needed."""
        self._prepared[file] = compress_for_name(file, self.body)

    def pop(self, file: str) -> bytes:
        """Return a form and release it; compresses it now if it was not prepared."""
        variant = self._prepared.pop(file, None)
        return compress_for_name(file, self.body) if variant is None else variant
