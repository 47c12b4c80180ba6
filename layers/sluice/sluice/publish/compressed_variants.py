"""An index file in the forms in which it is published, told by their names."""

from __future__ import annotations

import bz2

from sluice import zstd


def compress_for_name(file: str, body: bytes) -> bytes:
    """Compress as the file's name says."""
    if file.endswith(".zst"):
        return zstd.compress(body)
    return bz2.compress(body) if file.endswith(".bz2") else body


class CompressedVariants:
    """What was rendered once, to be published in several forms.

    They are as large as they are many, so each is given away.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._prepared: dict[str, bytes] = {}

    def prepare(self, file: str) -> None:
        """Make a form that will be asked for."""
        self._prepared[file] = compress_for_name(file, self.body)

    def pop(self, file: str) -> bytes:
        """Give a form away; made now, where it was not made before."""
        variant = self._prepared.pop(file, None)
        return compress_for_name(file, self.body) if variant is None else variant
