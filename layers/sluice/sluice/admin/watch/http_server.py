"""The HTTP server of the process, which runs in its own thread."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from threading import Thread

import uvicorn

from sluice.admin.watch.receiver import Receiver
from sluice.errors import Misused

_STOP_SECONDS = 2
_BACKLOG = 512
_CONNECTIONS_MAX = 256


@dataclass(slots=True)
class HttpServer:
    """Serves a receiver at an address."""

    receiver: Receiver
    listen: str
    """``host:port``, ``[host]:port`` for IPv6."""
    _server: uvicorn.Server | None = field(default=None, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def start(self) -> int:
        """Start to listen; the port.  Raises ``Misused`` if nobody can listen there."""
        listener = _listen(self.listen)
        config = uvicorn.Config(
            self.receiver,
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        server = self._server = uvicorn.Server(config)
        # Not the main thread, so uvicorn leaves signals alone.
        self._thread = Thread(
            target=server.run,
            kwargs={"sockets": [listener]},
            name="sluice-watch http",
            daemon=True,
        )
        self._thread.start()
        port: int = listener.getsockname()[1]
        return port

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Stop to listen; answers under way are finished for a moment."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS + 1)


def _listen(address: str) -> socket.socket:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise Misused(f"{address!r} is not an address to listen on, for example 127.0.0.1:8080")
    host = host.strip("[]")
    try:
        return socket.create_server(
            (host, int(port)),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=_BACKLOG,
        )
    except (OSError, UnicodeError) as error:
        raise Misused(f"cannot listen on {address}: {error}") from error
