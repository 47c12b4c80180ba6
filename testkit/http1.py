"""The little of HTTP/1.1 that a server on the loopback interface has to know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
HEAD_BYTES_MAX = 64 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
GONE = (ConnectionError, asyncio.IncompleteReadError)
"""What a peer that hangs up raises, which it may do at any time."""


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and headers with lower-case names."""

    raw: bytes
    start: tuple[str, str, str]
    headers: Mapping[str, str]

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this message."""
        return self.headers.get("connection", "").lower() == "close"

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks, so that its length is not known before."""
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    def without(self, *names: str) -> bytes:
        """The raw head without some headers."""
        lines = self.raw.split(b"\r\n")
        unwanted = tuple(f"{name}:".encode() for name in names)
        return b"\r\n".join(line for line in lines if not line.lower().startswith(unwanted))


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read a start line and headers; ``None`` where the connection ended before."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    start, *lines = raw.decode("latin-1").split("\r\n")
    first, second, third = [*start.split(" ", 2), ""][:3]
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Head(raw, (first, second, third), headers)


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    """Read the whole body of a message that tells its length, or comes in chunks."""
    if not head.chunked:
        return await reader.readexactly(int(head.headers.get("content-length", "0")))
    pieces = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # a trailer
    return b"".join(pieces)
