"""Many small objects in one request: their keys and bodies, each behind its length.  Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

_LENGTHS = struct.Struct("<II")
_BATCH_BYTES = 16 * 1024 * 1024


def pack(objects: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Pack objects into batches of some megabytes."""
    pieces: list[bytes] = []
    size = 0
    for key, body in objects:
        name = key.encode()
        pieces += (_LENGTHS.pack(len(name), len(body)), name, body)
        size += _LENGTHS.size + len(name) + len(body)
        if size >= _BATCH_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def unpack(batch: bytes) -> Iterator[tuple[str, bytes]]:
    """The objects of one batch."""
    at = 0
    while at < len(batch):
        key_length, body_length = _LENGTHS.unpack_from(batch, at)
        begin = at + _LENGTHS.size
        at = begin + key_length + body_length
        yield batch[begin : begin + key_length].decode(), batch[begin + key_length : at]
