"""S3 over HTTP: one process, in memory, unsigned requests as good as signed ones.

Run as a process of its own (``python -m testkit.s3_server``), so that its work is not part of
anyone's CPU time; it prints the port that it listens on.  Paths that begin with ``/-/`` are for
itself:

- ``GET /-/take?latency_ms=15`` answers with its ``journal`` since the last call, forgets it, and
  sets the latency from now on;
- ``POST /-/load?bucket=a&bucket=b`` puts the objects of one batch (``fixtures``) into every
  bucket named;
- ``POST /-/copy?from=a&to=b`` makes ``b`` hold what ``a`` holds and nothing else;
- ``POST /-/drop?bucket=a`` forgets a bucket, if there is such one.

None of these is counted.

The latency passes once for each request, whatever its size, after its head was read.
``Expect: 100-continue`` is answered before, so it costs nothing more.  Counted are bytes of bodies
as they come over the wire; heads are not.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import time
from collections.abc import Callable, Collection, Iterator
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from testkit.http1 import CONTINUE, GONE, LOOPBACK, Head, read_body, read_head
from testkit.s3_server.conditions import Deviation
from testkit.s3_server.fixtures import unpack
from testkit.s3_server.journal import Journal
from testkit.s3_server.listing import PAGE_KEYS_MAX
from testkit.s3_server.objects import Bucket, Object, etag
from testkit.s3_server.requests import Request, parse
from testkit.s3_server.responses import Response
from testkit.s3_server.service import Service

CONTROL = "/-/"
_STREAM_BYTES_MAX = 1024 * 1024
_PIECE_BYTES = 1024 * 1024


class Server:
    """Answers, counts and delays."""

    def __init__(
        self,
        *,
        page_size: int = PAGE_KEYS_MAX,
        deviations: Collection[Deviation] = (),
        clock: Callable[[], float] = time.time,
        on_done: Callable[[Request], None] = lambda _request: None,
    ) -> None:
        """``clock``: what objects and answers are dated by, seconds since the epoch.

        ``on_done`` is given each request that was carried out, before it is answered.
        """
        self._clock = clock
        self._on_done = on_done
        self._service = Service(page_size=page_size, deviations=deviations, clock=clock)
        self._journal = Journal()
        self._latency_s = 0.0

    async def listen(self) -> asyncio.Server:
        """Begin to listen on a free port of the loopback interface."""
        return await asyncio.start_server(self._serve, LOOPBACK, 0, limit=_STREAM_BYTES_MAX)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Response the requests of one connection, one after the other."""
        try:
            while (head := await read_head(reader)) is not None:
                if "expect" in head.headers:
                    writer.write(CONTINUE)
                if head.start[1].startswith(CONTROL):
                    answer = self._control(head, await read_body(reader, head))
                    await _write(writer, answer)
                else:
                    await self._exchange(reader, writer, head)
                if head.closes:
                    break
        except GONE:
            pass  # the client hung up, which it may do at any time
        finally:
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head
    ) -> None:
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        body = await read_body(reader, head)
        request = parse(head, body)
        count = self._journal.count(request.operation)
        count.requests += 1
        count.bytes_up += len(body)
        answer = self._service.answer(request)
        self._on_done(request)
        without_body = head.start[0] == "HEAD"
        if not without_body:
            count.bytes_down += len(answer.body)
        journal = self._journal
        answer = dataclasses.replace(answer, headers={**answer.headers, "Date": self._date()})
        await _write(writer, answer, without_body=without_body)
        journal.answered(request.operation, f"{request.bucket}/{request.key}", answer.status)

    def _date(self) -> str:
        return _formatted(int(self._clock()))

    def _control(self, head: Head, body: bytes) -> Response:
        url = urlsplit(head.start[1])
        query = parse_qs(url.query)
        match url.path:
            case "/-/take":
                self._latency_s = float(query["latency_ms"][0]) / 1000
                taken, self._journal = self._journal, Journal()
                encoded = json.dumps(taken.as_json()).encode()
                return Response(headers={"Content-Type": "application/json"}, body=encoded)
            case "/-/load":
                self._load(query["bucket"], body)
                return Response()
            case "/-/copy":
                buckets = self._service.buckets
                buckets[query["to"][0]] = buckets[query["from"][0]].copy()
                return Response()
            case "/-/age":
                bucket = self._service.buckets[query["bucket"][0]]
                bucket.age(query["prefix"][0], float(query["seconds"][0]))
                return Response()
            case "/-/drop":
                self._service.buckets.pop(query["bucket"][0], None)
                return Response()
        return Response(404)

    def _load(self, names: list[str], batch: bytes) -> None:
        buckets = [self._service.buckets.setdefault(name, Bucket()) for name in names]
        now = self._clock()
        for key, body in unpack(batch):
            stored = Object(body, etag(body), now)
            for bucket in buckets:
                bucket.put(key, stored)
        gc.freeze()  # what was loaded stays: no collection has to walk through it


@lru_cache
def _formatted(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


async def _write(
    writer: asyncio.StreamWriter, answer: Response, *, without_body: bool = False
) -> None:
    size = len(answer.body) if answer.size is None else answer.size
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += (f"{name}: {value}" for name, value in answer.headers.items())
    lines += (f"Content-Length: {size}", "x-amz-request-id: 0", "", "")
    writer.write("\r\n".join(lines).encode("latin-1"))
    if not without_body:
        for piece in _pieces(answer.body):
            writer.write(piece)
            await writer.drain()
    await writer.drain()


def _pieces(body: bytes | memoryview) -> Iterator[memoryview]:
    view = memoryview(body)
    for at in range(0, len(view), _PIECE_BYTES):
        yield view[at : at + _PIECE_BYTES]
