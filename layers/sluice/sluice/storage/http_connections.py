"""HTTP/1.1 over persistent connections, with only the features that S3 needs.

urllib3 makes each connection: it resolves the name, verifies the certificate, and bounds the time.
What it does for each request and response takes 0.25 ms of CPU, more than all else about a small
object (docs/performance.md).  Here a request is one ``send``, and a response is split where it
stands.  A request through a proxy goes through botocore's session, which knows proxies.

A request can be begun before its response is wanted, so that one thread keeps many under way.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from http.client import BadStatusLine, IncompleteRead
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import urlsplit
from weakref import finalize

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import (
    URLLib3Session,
    create_urllib3_context,
    get_cert_path,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError as Urllib3ConnectTimeoutError
from urllib3.exceptions import NewConnectionError, ProtocolError
from urllib3.exceptions import ReadTimeoutError as Urllib3ReadTimeoutError
from urllib3.exceptions import SSLError as Urllib3SSLError
from urllib3.util.ssl_match_hostname import CertificateError
from urllib3.util.wait import wait_for_read

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD_BYTES_MAX = 256 * 1024
"""Bytes of the head of a response; S3's has one KiB."""
_RECEIVED_AT_ONCE = 64 * 1024
_JOINED_BODY_BYTES_MAX = 64 * 1024
"""Size up to which a body is copied behind its head, to be sent with it."""
_BODILESS_STATUSES = frozenset({204, 304})
_CONTINUE = 100
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LF = b"\n"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a request may wait."""

    connect: float
    read: float
    """For the next piece of a response, not for all of it."""


class Headers(dict[str, str]):
    """The headers of a response, by name in any case; repeated ones are joined with a comma."""

    def __getitem__(self, name: str) -> str:
        """The value of a header; raises ``KeyError``."""
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        """Whether there is such a header."""
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header, or ``default``."""
        return super().get(name.lower(), default)


class Response(AWSResponse):
    """A response whose body is read from its connection."""

    def __init__(self, url: str, status: int, headers: Headers, raw: _Body) -> None:
        # Not the base's, which would copy the headers one by one.
        self.url = url
        self.status_code = status
        self.headers = headers  # type: ignore[assignment] # a mapping by name in any case, too
        self.raw = raw
        self._content: bytes | None = None

    @property
    def content(self) -> bytes:
        """The whole body."""
        if self._content is None:
            self._content = b"".join(self.raw.stream())
        return self._content


class Exchange:
    """A request that was sent, and whose response was not yet received."""

    def __init__(
        self, connections: HttpConnections, request: AWSPreparedRequest, link: _Link
    ) -> None:
        self._connections = connections
        self._request = request
        self._link: _Link | None = link

    def response(self) -> AWSResponse:
        """Wait for the response; once.  Raises botocore's errors of the transport."""
        link, self._link = self._link, None
        if link is None:
            raise ValueError("the response was already received")
        with _Translated(self._request, link):
            return _receive(self._connections, self._request, link)

    def drop(self) -> None:
        """Drop the connection of a request whose response nobody wants any more."""
        link, self._link = self._link, None
        if link is not None:
            link.close()


class HttpConnections:
    """Sends requests over connections that are kept for the next ones; thread-safe."""

    def __init__(
        self,
        *,
        ca_file: str | None,
        proxies: Mapping[str, str],
        timeouts: Timeouts,
        kept_max: int,
    ) -> None:
        """``ca_file``: the certificates to trust, or ``None`` for those that come with botocore.

        ``kept_max``: the number of idle connections that are kept per server.
        """
        self._timeouts = timeouts
        self._kept_max = kept_max
        self._ca_file = ca_file
        self._socket_options: Sequence[tuple[int, int, int]] = [
            # Head and body may be sent one after the other: else the body waits 40 ms for the ACK
            # of the head.
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ]
        self._idle: dict[str, deque[_Link]] = {}
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = Lock()
        self._proxied = (
            URLLib3Session(
                verify=ca_file or True,  # type: ignore[arg-type] # a path, too
                proxies=proxies,
                timeout=(timeouts.connect, timeouts.read),  # type: ignore[arg-type] # or both
                max_pool_connections=kept_max,
                socket_options=self._socket_options,  # type: ignore[arg-type]
            )
            if proxies
            else None
        )

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request and wait for the head of its response.

        Raises botocore's errors of the transport.
        """
        if self._proxied is not None:
            return self._proxied.send(request)
        return self.begin(request).response()

    @property
    def can_begin(self) -> bool:
        """Whether requests can be begun."""
        return self._proxied is None

    def begin(self, request: AWSPreparedRequest) -> Exchange:
        """Send a request, whose response is received later."""
        place = _place_of(request.url)
        with _Translated(request) as translated:
            link = translated.link = self._take(place.origin) or self._connect(place)
            _transmit(link, request, place)
        return Exchange(self, request, link)

    def give_back(self, link: _Link) -> None:
        """Keep a connection whose response was read to its end."""
        idle = self._idle.setdefault(link.origin, deque())
        if len(idle) < self._kept_max:
            idle.append(link)
        else:
            link.close()

    def _take(self, origin: str) -> _Link | None:
        """The connection that was used last, unless the server has closed it."""
        idle = self._idle.get(origin)
        while idle:
            try:
                link = idle.pop()
            except IndexError:  # another thread was faster
                return None
            if not link.is_readable():
                return link
            link.close()
        return None

    def _connect(self, place: _Place) -> _Link:
        options: dict[str, Any] = {
            "timeout": self._timeouts.connect,
            "socket_options": self._socket_options,
        }
        made: HTTPConnection
        if place.is_tls:
            made = HTTPSConnection(
                place.host,
                place.port,
                ssl_context=self._trust(),
                cert_reqs="CERT_REQUIRED",
                **options,
            )
        else:
            made = HTTPConnection(place.host, place.port, **options)
        made.connect()
        assert isinstance(made.sock, socket.socket), "connected"
        made.sock.settimeout(self._timeouts.read)
        return _Link(made.sock, place.origin)

    def _trust(self) -> ssl.SSLContext:
        """The certificates to trust, which are read once and not for each connection."""
        with self._tls_lock:
            if self._tls is None:
                context = create_urllib3_context()
                try:
                    context.load_verify_locations(self._ca_file or get_cert_path(verify=True))
                except OSError as error:
                    raise Urllib3SSLError(error) from error
                self._tls = context
            return self._tls


@dataclass(frozen=True, slots=True)
class _Place:
    """A server, from the beginning of a URL."""

    origin: str
    host: str
    port: int
    host_header: str
    is_tls: bool


class _Link:
    """One connection."""

    __slots__ = ("__weakref__", "buffer", "origin", "sock")

    def __init__(self, sock: socket.socket, origin: str) -> None:
        self.sock = sock
        self.origin = origin
        self.buffer = b""
        """What was received and not yet consumed."""
        # What nobody uses any more is closed, as urllib3's pools do.
        finalize(self, sock.close)

    def is_readable(self) -> bool:
        """Whether an idle connection has something to read: its end, or what nobody asked for."""
        # What TLS has decrypted already does not show at the socket.
        decrypted = self.sock.pending() if isinstance(self.sock, ssl.SSLSocket) else 0
        return bool(self.buffer or decrypted) or wait_for_read(self.sock, 0)

    def receive(self, size: int) -> bytes:
        """Receive up to ``size`` bytes; empty at the end of the connection."""
        if self.buffer:
            piece, self.buffer = self.buffer[:size], self.buffer[size:]
            return piece
        return self.sock.recv(size)

    def line(self) -> bytes:
        """Receive a line, without its end."""
        while _LF not in self.buffer:
            if len(self.buffer) > _HEAD_BYTES_MAX:
                raise BadStatusLine("a line without end")
            if not (more := self.sock.recv(_RECEIVED_AT_ONCE)):
                raise IncompleteRead(self.buffer)
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(_LF)
        return line.removesuffix(b"\r")

    def close(self) -> None:
        """Close it."""
        with suppress(OSError):
            self.sock.close()


class _Body:
    """The body of a response."""

    def __init__(
        self,
        connections: HttpConnections,
        request: AWSPreparedRequest,
        link: _Link,
        *,
        size: int | None,
        keeps: bool,
    ) -> None:
        """``size``: bytes to come; ``None``: all until the connection ends.

        ``keeps``: whether the connection may be used again.
        """
        self._connections = connections
        self._request = request
        self._link: _Link | None = link
        self._remaining = size
        self._keeps = keeps
        if size == 0:
            self._finish()

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes; empty after the end.

        Raises urllib3's errors, as its responses do.
        """
        link = self._link
        if link is None:
            return b""
        remaining = self._remaining
        try:
            piece = link.receive(size if remaining is None else min(size, remaining))
        except (TimeoutError, OSError) as error:
            self.close()
            _raise_of_body(error, self._request.url)
        if not piece:
            self.close()
            if remaining is not None:
                raise ProtocolError(f"the body ends {remaining} bytes early")
        elif remaining is not None:
            self._remaining = remaining - len(piece)
            if not self._remaining:
                self._finish()
        return piece

    def stream(self) -> Iterator[bytes]:
        """Read to the end."""
        while piece := self.read(_RECEIVED_AT_ONCE):
            yield piece

    def close(self) -> None:
        """Drop the connection, unless the body was read to its end."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _finish(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            if self._keeps:
                self._connections.give_back(link)
            else:
                link.close()


class _ChunkedBody(_Body):
    """A body in chunks, each behind its size (RFC 9112, 7.1)."""

    def __init__(
        self, connections: HttpConnections, request: AWSPreparedRequest, link: _Link, *, keeps: bool
    ) -> None:
        super().__init__(connections, request, link, size=None, keeps=keeps)
        self._chunk = 0
        """Bytes that are left of the current chunk."""

    def read(self, size: int) -> bytes:
        """See ``_Body.read``."""
        link = self._link
        if link is None:
            return b""
        try:
            return self._read_chunk(link, size)
        except (TimeoutError, OSError, ValueError, BadStatusLine, IncompleteRead) as error:
            self.close()
            _raise_of_body(error, self._request.url)

    def _read_chunk(self, link: _Link, size: int) -> bytes:
        if not self._chunk:
            self._chunk = int(link.line().partition(b";")[0].strip(), 16)
            if not self._chunk:
                while link.line():
                    pass  # trailers
                self._finish()
                return b""
        piece = link.receive(min(size, self._chunk))
        if not piece:
            raise IncompleteRead(b"", self._chunk)
        self._chunk -= len(piece)
        if not self._chunk and link.line():
            raise ValueError("a chunk without its end")
        return piece


class _Translated:
    """Raises errors of a connection as botocore's session does, and drops the connection."""

    def __init__(self, request: AWSPreparedRequest, link: _Link | None = None) -> None:
        self._request = request
        self.link = link

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        if self.link is not None:
            self.link.close()
        if not isinstance(error, Exception):
            return
        url = self._request.url
        for kinds, translate in _TRANSLATIONS:
            if isinstance(error, kinds):
                raise translate(self._request, url, error) from error
        raise HTTPClientError(error=error) from error


_Translate = Callable[[AWSPreparedRequest, str, Exception], Exception]
# The order of botocore's session: a refused connection is also an error of the operating system.
_TRANSLATIONS: tuple[tuple[tuple[type[Exception], ...], _Translate], ...] = (
    (
        (ssl.SSLError, CertificateError, Urllib3SSLError),
        lambda _request, url, error: SSLError(endpoint_url=url, error=error),
    ),
    (
        (NewConnectionError, socket.gaierror),
        lambda _request, url, error: EndpointConnectionError(endpoint_url=url, error=error),
    ),
    (
        (Urllib3ConnectTimeoutError,),
        lambda _request, url, error: ConnectTimeoutError(endpoint_url=url, error=error),
    ),
    (
        (TimeoutError, Urllib3ReadTimeoutError),
        lambda _request, url, error: ReadTimeoutError(endpoint_url=url, error=error),
    ),
    (
        (ConnectionError, BadStatusLine, IncompleteRead, ProtocolError),
        lambda request, url, error: ConnectionClosedError(
            error=error, request=request, endpoint_url=url
        ),
    ),
)


def _raise_of_body(error: Exception, url: str) -> NoReturn:
    """Raise what urllib3 raises for a body that breaks."""
    if isinstance(error, TimeoutError):
        raise Urllib3ReadTimeoutError(None, url, "Read timed out.") from error  # type: ignore[arg-type]
    if isinstance(error, ssl.SSLError):
        raise Urllib3SSLError(error) from error
    raise ProtocolError(f"Connection broken: {error!r}", error) from error


@lru_cache(64)
def _place(scheme: str, netloc: str) -> _Place:
    parts = urlsplit(f"{scheme}://{netloc}")
    default = _DEFAULT_PORTS[scheme]
    port = parts.port or default
    header = netloc.rpartition("@")[2]
    if port == default:
        header = header.removesuffix(f":{default}")
    return _Place(f"{scheme}://{netloc}", parts.hostname or "", port, header, scheme == "https")


def _place_of(url: str) -> _Place:
    scheme, _, rest = url.partition("://")
    return _place(scheme.lower(), rest.partition("/")[0].partition("?")[0])


def host_header(url: str) -> str:
    """The header ``Host`` of requests to a URL, which their signatures cover."""
    return _place_of(url).host_header


def request_target(url: str) -> str:
    """The path and query of a URL, as they stand in the first line of a request."""
    rest = url.partition("://")[2]
    _, slash, target = rest.partition("/")
    if slash:
        return f"/{target}"
    _, mark, query = rest.partition("?")
    return f"/?{query}" if mark else "/"


def _transmit(link: _Link, request: AWSPreparedRequest, place: _Place) -> None:
    lines = [
        f"{request.method} {request_target(request.url)} HTTP/1.1",
        f"Host: {place.host_header}",
        "Accept-Encoding: identity",
        "User-Agent: sluice",
    ]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a header contains a line break")
    encoded = f"{head}\r\n\r\n".encode("latin-1")
    body = request.body or b""
    assert isinstance(body, bytes | bytearray | memoryview), "what S3Client sends"
    try:
        if len(body) <= _JOINED_BODY_BYTES_MAX:
            link.sock.sendall(encoded + bytes(body))
        else:
            link.sock.sendall(encoded)
            link.sock.sendall(body)
    except BrokenPipeError:
        pass  # the server has answered before it read the whole body


def _receive(connections: HttpConnections, request: AWSPreparedRequest, link: _Link) -> AWSResponse:
    while True:
        version, status, headers = _receive_head(link)
        if status >= _FIRST_FINAL_STATUS or status == _SWITCHING_PROTOCOLS:
            break
    connection = headers.get("connection", "").lower()
    keeps = "close" not in connection if version == b"HTTP/1.1" else connection == "keep-alive"
    body: _Body
    length = headers.get("content-length")
    if request.method == "HEAD" or status in _BODILESS_STATUSES:
        body = _Body(connections, request, link, size=0, keeps=keeps)
    elif "chunked" in headers.get("transfer-encoding", "").lower():
        body = _ChunkedBody(connections, request, link, keeps=keeps)
    elif length is not None:
        if not (length.isascii() and length.isdigit()):
            raise BadStatusLine(f"Content-Length: {length}")
        body = _Body(connections, request, link, size=int(length), keeps=keeps)
    else:
        body = _Body(connections, request, link, size=None, keeps=False)
    response = Response(request.url, status, headers, body)
    if not request.stream_output:
        response.content  # noqa: B018 - it reads the body, so that its errors are those of a request
    return response


def _receive_head(link: _Link) -> tuple[bytes, int, Headers]:
    """Receive the head of a response: version, status and headers."""
    received = link.buffer or link.sock.recv(_RECEIVED_AT_ONCE)
    while (end := received.find(b"\r\n\r\n")) < 0:
        more = link.sock.recv(_RECEIVED_AT_ONCE) if received else b""
        if not more:
            # As http.client says it where a server closes the connection instead of answering.
            raise BadStatusLine(repr(received.decode("latin-1")))
        if len(received) > _HEAD_BYTES_MAX:
            raise BadStatusLine("a head without end")
        received += more
    link.buffer = received[end + 4 :]
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit()):
        raise BadStatusLine(first)
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadStatusLine(line)
        name, value = name.lower(), value.strip()
        dict.__setitem__(headers, name, f"{headers[name]}, {value}" if name in headers else value)
    return version.encode(), int(status), headers
