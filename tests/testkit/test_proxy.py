"""The counting proxy of the benchmark: it must see every client the same way."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from testkit.http1 import LOOPBACK

ROOT = Path(__file__).parents[2]
BODY = b"x" * 300_000


class Upstream(BaseHTTPRequestHandler):
    """Takes whatever is put and gives ``BODY`` to whoever asks, chunked under ``/chunked``."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        assert "Expect" not in self.headers
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"")

    def do_GET(self) -> None:
        if self.path.startswith("/chunked"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
        else:
            self._answer(200, BODY)

    def do_HEAD(self) -> None:
        self._answer(404, b"", length=len(BODY))

    def _answer(self, status: int, body: bytes, *, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[HTTPConnection]:
    """A connection to a proxy before ``Upstream``."""
    with ThreadingHTTPServer((LOOPBACK, 0), Upstream) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        command = [sys.executable, "-m", "testkit.proxy", str(upstream.server_port)]
        try:
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
                assert process.stdout
                connection = HTTPConnection(LOOPBACK, int(process.stdout.readline()), timeout=60)
                try:
                    yield connection
                finally:
                    connection.close()
                    process.terminate()
        finally:
            upstream.shutdown()
            thread.join()


def test_requests_and_the_bytes_of_bodies_are_counted_by_operation(proxy: HTTPConnection) -> None:
    assert _request(proxy, "GET", "/bucket/key") == (200, BODY)
    assert _request(proxy, "GET", "/chunked/key") == (200, BODY)
    assert _request(proxy, "HEAD", "/bucket/absent") == (404, b"")
    assert _request(proxy, "PUT", "/bucket/key", b"12345") == (200, b"")
    assert _take(proxy) == {
        "s3:GetObject": {"requests": 2, "bytes_up": 0, "bytes_down": 2 * len(BODY)},
        "s3:HeadObject": {"requests": 1, "bytes_up": 0, "bytes_down": 0},
        "s3:PutObject": {"requests": 1, "bytes_up": 5, "bytes_down": 0},
    }
    assert _take(proxy) == {}


def test_a_client_that_expects_a_100_is_told_to_go_on(proxy: HTTPConnection) -> None:
    proxy.putrequest("PUT", "/bucket/key")
    proxy.putheader("Content-Length", "5")
    proxy.putheader("Expect", "100-continue")
    proxy.endheaders()
    assert proxy.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    proxy.send(b"12345")
    answer = proxy.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    assert _take(proxy) == {"s3:PutObject": {"requests": 1, "bytes_up": 5, "bytes_down": 0}}


def _request(
    proxy: HTTPConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, bytes]:
    proxy.request(method, path, body)
    answer = proxy.getresponse()
    return answer.status, answer.read()


def _take(proxy: HTTPConnection) -> object:
    return json.loads(_request(proxy, "GET", "/-/take?latency_ms=0")[1])
