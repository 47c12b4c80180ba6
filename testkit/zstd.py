"""Reading zstd as the strictest client does."""

from __future__ import annotations

import zstandard


def one_frame(data: bytes) -> bytes:
    """Decompress; fails unless ``data`` is exactly one whole frame, after which clients stop."""
    reader = zstandard.ZstdDecompressor().decompressobj()
    content = reader.decompress(data)
    assert reader.eof
    assert reader.unused_data == b""
    return content
