"""A counting HTTP proxy that adds latency: what stands between a client and an emulator.

Run as a process of its own (``python -m testkit.proxy <upstream port>``), so that its work
is not part of anyone's CPU time; it prints the port that it listens on.  ``GET
/-/take?latency_ms=15`` is for the proxy itself: it answers with what was counted since the last
call, forgets it, and sets the latency from now on.

Every request is treated alike: it is read, the latency passes, and it is handed
on.  Connections to both sides are kept alive.  ``Expect: 100-continue`` (boto3 sends it with each
PUT) is answered at once, so that a PUT costs one latency like everything else.  Bytes are those of
bodies; heads are not counted.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from urllib.parse import parse_qs, urlsplit

from testkit.child_process import child_process, get
from testkit.counts import Count
from testkit.http1 import CONTINUE, GONE, HEAD_BYTES_MAX, LOOPBACK, Head, read_body, read_head
from testkit.operations import operation

_CONTROL = "/-/"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Counter:
    """A running proxy."""

    port: int

    @property
    def endpoint(self) -> str:
        """The URL for clients whose requests are to be counted."""
        return f"http://{LOOPBACK}:{self.port}"

    def take(self, *, latency_ms: float = 0) -> dict[str, Count]:
        """Requests by operation since the last call; from now on each waits ``latency_ms``."""
        counts = json.loads(get(self.port, f"{_CONTROL}take?latency_ms={latency_ms}"))
        return {name: Count(**count) for name, count in counts.items()}


@contextmanager
def counter(upstream_port: int) -> Iterator[Counter]:
    """Run a proxy before the emulator that listens on ``upstream_port``."""
    command = [sys.executable, "-m", "testkit.proxy", str(upstream_port)]
    with child_process(command, {}, stdout=subprocess.PIPE) as proxy:
        assert proxy.stdout is not None
        yield Counter(int(proxy.stdout.readline()))


class Proxy:
    """Counts, delays and hands on."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._idle: list[Connection] = []
        self._latency_s = 0.0
        self._counts: dict[str, Count] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one client connection, one after the other."""
        try:
            while (request := await read_head(reader)) is not None:
                if "expect" in request.headers:
                    writer.write(CONTINUE)
                body = await read_body(reader, request)
                if request.start[1].startswith(_CONTROL):
                    writer.write(self._control(request))
                    is_last = False
                else:
                    response, content = await self._exchange(request, body)
                    writer.write(_message(response, content))
                    is_last = request.closes or response.closes
                await writer.drain()
                if is_last:
                    break
        except GONE:
            pass  # the client hung up, which it may do at any time
        finally:
            writer.close()

    def _control(self, request: Head) -> bytes:
        query = parse_qs(urlsplit(request.start[1]).query)
        self._latency_s = float(query["latency_ms"][0]) / 1000
        counts, self._counts = self._counts, {}
        body = json.dumps({name: asdict(count) for name, count in counts.items()}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def _exchange(self, request: Head, body: bytes) -> tuple[Head, bytes]:
        method, target, _ = request.start
        count = self._counts.setdefault(operation(method, target, request.headers), Count())
        count.requests += 1
        count.bytes_up += len(body)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        reader, writer = await self._connect()
        try:
            writer.write(_message(request, body))
            response = _present(await read_head(reader))
            if method == "HEAD" or response.start[1] in {"204", "304"}:
                content = b""
            elif response.chunked or "content-length" in response.headers:
                content = await read_body(reader, response)
            else:  # RFC 9112, section 6.3
                content = await reader.read()
        except BaseException:
            writer.close()  # half an exchange is in it
            raise
        count.bytes_down += len(content)
        if response.closes:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return response, content

    async def _connect(self) -> Connection:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.close()
        return await asyncio.open_connection(LOOPBACK, self._upstream_port, limit=HEAD_BYTES_MAX)


def _present(head: Head | None) -> Head:
    if head is None:
        raise ConnectionResetError("the emulator closed the connection unanswered")
    return head


def _message(head: Head, body: bytes) -> bytes:
    """A message as it came, but with its length in place of chunks, and without ``Expect``."""
    raw = head.without("expect")
    if head.chunked:
        end = b"content-length: %d\r\n\r\n" % len(body)
        raw = head.without("expect", "transfer-encoding", "trailer").removesuffix(b"\r\n") + end
    return raw + body


async def main() -> None:
    """Serve until the process is ended."""
    proxy = Proxy(int(sys.argv[1]))
    server = await asyncio.start_server(proxy.serve, LOOPBACK, 0, limit=HEAD_BYTES_MAX)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
