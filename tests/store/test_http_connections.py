"""What our HTTP does with the responses of servers, good ones and broken ones."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.credentials import Credentials
from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import URLLib3Session
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as Urllib3ReadTimeoutError

from sluice.errors import Unavailable
from sluice.storage.http_connections import (
    HttpConnections,
    Timeouts,
    host_header,
    request_target,
)
from sluice.storage.s3_client import Endpoint, make_s3_client
from sluice.storage.s3_store import S3Store
from testkit.tls import make_authority

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: "e"\r\n\r\nbody'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
TIMEOUT = 0.4
Script = Sequence[Sequence[bytes]]
"""For each connection, what it answers to each request; it is closed behind the last."""


class Server:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(
        self, script: Script, *, waits: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self.asked: list[bytes] = []
        self.connections = 0
        self._script = script
        self._waits = waits
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._done = threading.Event()
        self._closed = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL of an object on it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/b/k"

    def wait_until_closed(self) -> None:
        """Wait until it has closed one more connection."""
        assert self._closed.acquire(timeout=10)

    def close(self) -> None:
        """Stop it."""
        self._done.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # it ends a wait in accept
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        for answers in self._script:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection, suppress(OSError):
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                self._answer(connection, answers)
            self._closed.release()

    def _answer(self, connection: socket.socket, answers: Sequence[bytes]) -> None:
        with connection:
            for answer in answers:
                asked = b""
                while not _is_complete(asked):
                    if not (more := connection.recv(65536)):
                        break
                    asked += more
                if not asked:
                    break
                self.asked.append(asked)
                connection.sendall(answer)
            if self._waits:
                self._done.wait()


def _is_complete(asked: bytes) -> bool:
    head, end, body = asked.partition(b"\r\n\r\n")
    _, named, rest = head.partition(b"Content-Length: ")
    return bool(end) and (not named or len(body) == int(rest.split(b"\r\n")[0]))


@contextmanager
def server(
    script: Script, *, waits: bool = False, tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Run a server."""
    running = Server(script, waits=waits, tls=tls)
    try:
        yield running
    finally:
        running.close()


def connections(ca_file: str | None = None) -> HttpConnections:
    """Connections that wait for nothing long."""
    return HttpConnections(
        ca_file=ca_file, proxies={}, timeouts=Timeouts(TIMEOUT, TIMEOUT), kept_max=2
    )


def request(
    url: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> AWSPreparedRequest:
    """A request whose body is read at once."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent["Content-Length"] = str(len(body))
    return AWSPreparedRequest(method, url, sent, body, False, {})  # type: ignore[arg-type] # noqa: FBT003


def streamed(url: str) -> AWSPreparedRequest:
    """A request whose body is streamed."""
    return AWSPreparedRequest("GET", url, {}, None, True, {})  # type: ignore[arg-type] # noqa: FBT003


def read_all(response: AWSResponse) -> None:
    """Read a streamed body to its end."""
    while response.raw.read(2):
        pass


def answered(answer: bytes, method: str = "GET") -> AWSResponse:
    """Send one request, which is answered so."""
    with server([[answer]]) as one:
        return connections().send(request(one.url, method))


def test_a_response_is_its_status_its_headers_and_its_body() -> None:
    response = answered(OK)
    assert (response.status_code, response.content) == (200, b"body")
    assert response.headers["etag"] == response.headers.get("ETag") == '"e"'
    assert "ETAG" in response.headers
    assert response.headers.get("none") is None


@pytest.mark.parametrize(
    ("answer", "method", "body"),
    [
        (OK.replace(b"body", b""), "HEAD", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "DELETE", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", "GET", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "PUT", b"body"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK, "GET", b"body"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", "GET", b"to the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET", b""),
        (
            CHUNKED + b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
            "GET",
            b"abc0123456789",
        ),
    ],
)
def test_a_body_ends_where_its_framing_says(answer: bytes, method: str, body: bytes) -> None:
    assert answered(answer, method).content == body


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_a_response_may_come_in_any_pieces(size: int) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA:  b \r\na: c\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    ours, theirs = socket.socketpair()

    def dribble() -> None:
        ours.recv(65536)
        for at in range(0, len(answer), size):
            ours.sendall(answer[at : at + size])

    thread = threading.Thread(target=dribble)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("urllib3.connection.HTTPConnection._new_conn", lambda _self: theirs)
        response = connections().send(request("http://s3/b/k"))
    thread.join()
    ours.close()
    assert response.content == b"abcde"
    assert response.headers["a"] == "b, c"


def test_a_connection_is_used_again_after_its_response_was_read() -> None:
    with server([[OK, OK, OK]]) as one:
        http = connections()
        assert [http.send(request(one.url)).content for _ in range(3)] == [b"body"] * 3
        assert one.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"ETag", b"Connection: close\r\nETag"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK + b"more than was announced",
    ],
)
def test_a_connection_that_may_be_out_of_step_is_not_used_again(answer: bytes) -> None:
    with server([[answer], [OK]]) as one:
        http = connections()
        http.send(request(one.url))
        assert http.send(request(one.url)).content == b"body"
        assert one.connections == 2


def test_a_connection_that_the_server_has_closed_meanwhile_is_replaced() -> None:
    with server([[OK], [OK]]) as one:
        http = connections()
        for _ in range(2):
            assert http.send(request(one.url)).content == b"body"
            one.wait_until_closed()  # a request that is sent while it closes is sent again


def test_a_connection_whose_body_was_not_read_is_dropped() -> None:
    with server([[OK], [OK]], waits=False) as one:
        http = connections()
        http.send(streamed(one.url)).raw.close()
        assert http.send(request(one.url)).content == b"body"
        assert one.connections == 2


def test_many_requests_are_under_way_in_one_thread() -> None:
    with server([[OK]]) as one, server([[OK.replace(b"body", b"late")]]) as other:
        http = connections()
        begun = [http.begin(request(each.url)) for each in (one, other)]
        assert [exchange.response().content for exchange in begun] == [b"body", b"late"]


def test_a_begun_request_that_is_dropped_leaves_no_connection_behind() -> None:
    with server([[OK], [OK]]) as one:
        http = connections()
        http.begin(request(one.url)).drop()
        assert http.send(request(one.url)).content == b"body"
        assert one.connections == 2


BROKEN: Sequence[bytes] = (
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbod",
    b"HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nbody",
    b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
    b"HTTP/1.1 two OK\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nbody\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbody\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
    b"HTTP/1.1 200 OK\r\nA: " + b"a" * 300_000,
)


@pytest.mark.parametrize("answer", BROKEN)
def test_a_broken_response_is_a_closed_connection(answer: bytes) -> None:
    with pytest.raises(ConnectionClosedError):
        answered(answer)


@pytest.mark.parametrize(
    ("answer", "error"), [(OK[:-1], ProtocolError), (OK[:-1] + b"", ProtocolError)]
)
def test_a_streamed_body_that_breaks_raises_what_urllib3_raises(
    answer: bytes, error: type[Exception]
) -> None:
    with server([[answer]]) as one:
        response = connections().send(streamed(one.url))
        with pytest.raises(error):
            read_all(response)


def test_a_server_that_does_not_answer_is_a_timeout() -> None:
    with server([[b""]], waits=True) as one, pytest.raises(ReadTimeoutError):
        connections().send(request(one.url))
    with server([[OK[:-1]]], waits=True) as one, pytest.raises(ReadTimeoutError):
        connections().send(request(one.url))
    with server([[OK[:-1]]], waits=True) as one:
        response = connections().send(streamed(one.url))
        assert response.raw.read(3) == b"bod"
        with pytest.raises(Urllib3ReadTimeoutError):
            response.raw.read(3)


def test_a_port_that_nobody_listens_on_has_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(EndpointConnectionError):
        connections().send(request(f"http://127.0.0.1:{port}/b/k"))


def test_a_file_of_certificates_that_is_none_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "none.pem"
    for make in (lambda: None, lambda: empty.write_bytes(b"")):
        make()
        with pytest.raises(SSLError):
            connections(str(empty)).send(request("https://127.0.0.1:9/b/k"))


def test_tls_keeps_its_connection_and_verifies_who_answers(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    trusted = str(authority.certificate)
    with server([[OK, LARGE, OK]], tls=authority.context) as one:
        http = connections(trusted)
        url = one.url.replace("http:", "https:")
        bodies = [http.send(request(url)).content for _ in range(3)]
        assert bodies == [b"body", bytes(100_000), b"body"]
        assert one.connections == 1


def test_what_tls_has_received_beyond_a_response_is_no_response_to_the_next(
    tmp_path: Path,
) -> None:
    authority = make_authority(tmp_path)
    with server([[OK + OK], [OK.replace(b"body", b"next")]], tls=authority.context) as one:
        http = connections(str(authority.certificate))
        url = one.url.replace("http:", "https:")
        assert http.send(request(url)).content == b"body"
        assert http.send(request(url)).content == b"next"


@pytest.mark.parametrize("host", ["127.0.0.1", "localtest"])
def test_a_server_that_is_not_trusted_is_sent_nothing(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(tmp_path)
    is_known = host != "127.0.0.1"
    plain = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _host, *rest, **more: plain("127.0.0.1", *rest, **more)
    )
    with server([[OK]], tls=authority.context) as one:
        url = one.url.replace("http://127.0.0.1", f"https://{host}")
        with pytest.raises(SSLError):
            connections(str(authority.certificate) if is_known else None).send(request(url))
        assert one.asked == []


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb: c", "a\rb"])
def test_no_value_becomes_another_header(value: str) -> None:
    with server([[OK]]) as one:
        with pytest.raises(HTTPClientError):
            connections().send(request(one.url, If_Match=value))
        assert one.asked == []
        one.close()


@pytest.mark.parametrize("size", [0, 10, 100_000])
@pytest.mark.parametrize("make", [bytes, lambda size: memoryview(bytes(size))])
def test_a_body_goes_up_as_it_is(size: int, make: Callable[[int], bytes]) -> None:
    with server([[OK]]) as one:
        connections().send(request(one.url, "PUT", make(size), If_Match='"e"'))
        head, _, body = one.asked[0].partition(b"\r\n\r\n")
    assert body == bytes(size)
    lines = head.split(b"\r\n")
    assert lines[0] == b"PUT /b/k HTTP/1.1"
    assert {b'If-Match: "e"', b"Content-Length: %d" % size} < set(lines)
    assert sum(line.startswith(b"Host: 127.0.0.1:") for line in lines) == 1


def test_a_small_body_does_not_wait_for_the_acknowledgement_of_its_head() -> None:
    with server([[OK]], waits=True) as one:
        response = connections().send(streamed(one.url))
        sock = response.raw._link.sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        response.raw.close()


def test_a_request_through_a_proxy_is_sent_by_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[AWSPreparedRequest] = []
    monkeypatch.setattr(URLLib3Session, "send", lambda _session, one: sent.append(one))
    http = HttpConnections(
        ca_file=None,
        proxies={"https": "http://proxy:3128"},
        timeouts=Timeouts(TIMEOUT, TIMEOUT),
        kept_max=2,
    )
    assert not http.can_begin
    http.send(request("https://b.s3.amazonaws.com/k"))
    assert [one.url for one in sent] == ["https://b.s3.amazonaws.com/k"]


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://b.s3.amazonaws.com/k?a=b", "b.s3.amazonaws.com", "/k?a=b"),
        ("https://s3:443/b/k", "s3", "/b/k"),
        ("http://s3:443/b/k", "s3:443", "/b/k"),
        ("http://s3:80", "s3", "/"),
        ("http://[::1]:9000/b?list-type=2", "[::1]:9000", "/b?list-type=2"),
        ("http://s3?list-type=2", "s3", "/?list-type=2"),
    ],
)
def test_a_url_is_a_host_and_a_target(url: str, host: str, target: str) -> None:
    assert (host_header(url), request_target(url)) == (host, target)


NOT_NOW = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"
DATED = OK.replace(b"ETag", b"Last-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\nETag")
MISSING = (
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 37\r\n\r\n<Error><Code>NoSuchKey</Code></Error>\n"
)


@pytest.mark.parametrize(
    ("script", "body"),
    [
        ([[DATED]], b"body"),
        ([[MISSING]], None),
        ([[NOT_NOW, DATED]], b"body"),  # it is sent again
        ([[b""], [DATED]], b"body"),  # the connection broke
        ([[b"HTTP/1.1 two\r\n\r\n"], [DATED]], b"body"),
    ],
)
def test_an_object_that_was_requested_ahead_is_read_as_any_other(
    script: Script, body: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with server(script) as one:
        endpoint = Endpoint("us-east-1", one.url.removesuffix("/b/k"))
        store = S3Store(make_s3_client(endpoint, Credentials("key", "secret")), "b")
        with store.begin_open("k").opened() as opened:
            assert (b"".join(opened.chunks) if opened else None) == body


def test_a_request_that_cannot_be_sent_ahead_is_sent_when_it_is_wanted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    endpoint = Endpoint("us-east-1", f"http://127.0.0.1:{port}")
    store = S3Store(make_s3_client(endpoint, Credentials("key", "secret")), "b")
    begun = store.begin_open("k")
    with pytest.raises(Unavailable, match="no server listens"), begun.opened():
        pass
    store.begin_open("k").drop()
