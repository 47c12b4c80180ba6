"""A counting HTTP proxy that adds latency: what stands between a client and an emulator.

Run as a process of its own (``python -m benchmarks.proxy <upstream port>``), so that its work
is not part of anyone's CPU time; it prints the port that it listens on.  Requests whose path
begins with ``/-/`` are for the proxy itself: ``GET /-/take?latency_ms=15`` answers with what was
counted since the last call, forgets it, and sets the latency from now on.

Every request is treated alike, whoever sends it: its head is read, the latency passes, and from
then on bytes are handed through in both directions as they come.  Connections to both sides
are kept alive.  ``Expect: 100-continue`` (boto3 sends it with each PUT) is answered at once, so
that a PUT costs one latency like everything else.  Bytes are those of bodies, as they were
handed on; heads are not counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from urllib.parse import parse_qs, urlsplit

from benchmarks.counts import Count
from benchmarks.operations import operation
from benchmarks.wire import CONTINUE, GONE, HEAD_BYTES_MAX, LOOPBACK, Head, read_head

CONTROL = "/-/"
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Connection:
    """Both directions of one TCP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Proxy:
    """Counts, delays and hands through."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._idle: list[Connection] = []
        self._latency_s = 0.0
        self._counts: dict[str, Count] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one client connection, one after the other."""
        client = Connection(reader, writer)
        try:
            while (request := await read_head(reader)) is not None:
                if request.start[1].startswith(CONTROL):
                    await self._control(client, request)
                elif not await self._forward(client, request):
                    break
        except GONE:
            pass  # the client hung up, which it may do at any time
        finally:
            writer.close()

    async def _control(self, client: Connection, request: Head) -> None:
        query = parse_qs(urlsplit(request.start[1]).query)
        self._latency_s = float(query["latency_ms"][0]) / 1000
        taken, self._counts = self._counts, {}
        body = json.dumps({name: asdict(count) for name, count in taken.items()}).encode()
        client.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await client.writer.drain()

    async def _forward(self, client: Connection, request: Head) -> bool:
        """Hand one exchange through; tell whether the client's connection stays open."""
        method, target, _ = request.start
        count = self._counts.setdefault(operation(method, target, request.headers), Count())
        count.requests += 1
        if "expect" in request.headers:
            client.writer.write(CONTINUE)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        upstream = await self._connect()
        try:
            upstream.writer.write(request.without("expect"))
            async for size in _pump(client.reader, upstream.writer, request, until_end=False):
                count.bytes_up += size
            response = _present(await read_head(upstream.reader))
            client.writer.write(response.raw)
            bodiless = method == "HEAD" or response.start[1] in {"204", "304"}
            if not bodiless:
                async for size in _pump(upstream.reader, client.writer, response, until_end=True):
                    count.bytes_down += size
            await client.writer.drain()
        except BaseException:
            upstream.writer.close()  # half an exchange is in it
            raise
        if response.closes:
            upstream.writer.close()
        else:
            self._idle.append(upstream)
        return not (request.closes or response.closes)

    async def _connect(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not (connection.reader.at_eof() or connection.writer.is_closing()):
                return connection
            connection.writer.close()
        return Connection(
            *await asyncio.open_connection(
                LOOPBACK, self._upstream_port, limit=max(_CHUNK_BYTES, HEAD_BYTES_MAX)
            )
        )


def _present(head: Head | None) -> Head:
    if head is None:
        raise ConnectionResetError("the emulator closed the connection instead of answering")
    return head


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, head: Head, *, until_end: bool
) -> AsyncIterator[int]:
    """Hand a body on as it comes and yield the size of each piece.

    ``until_end`` tells what a missing length means (RFC 9112, section 6.3): the rest of the
    connection in a response, nothing in a request.
    """
    if head.chunked:
        size = -1
        while size:
            line = await source.readuntil(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            sink.write(line)
            async for piece in _hand_on(source, sink, size):
                yield piece
            if size:
                sink.write(await source.readexactly(2))
        while (trailer := await source.readuntil(b"\r\n")) != b"\r\n":
            sink.write(trailer)
        sink.write(b"\r\n")
    elif "content-length" in head.headers:
        async for piece in _hand_on(source, sink, int(head.headers["content-length"])):
            yield piece
    elif until_end:
        async for piece in _hand_on(source, sink, None):
            yield piece


async def _hand_on(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, size: int | None
) -> AsyncIterator[int]:
    """Hand ``size`` bytes on, or, where it is ``None``, all that come."""
    left = size
    while left is None or left > 0:
        piece = await source.read(_CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES))
        if not piece:
            if left:
                raise asyncio.IncompleteReadError(b"", left)
            return
        sink.write(piece)
        await sink.drain()
        yield len(piece)
        if left is not None:
            left -= len(piece)


async def main() -> None:
    """Serve until the process is ended."""
    proxy = Proxy(int(sys.argv[1]))
    server = await asyncio.start_server(proxy.serve, LOOPBACK, 0, limit=HEAD_BYTES_MAX)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
