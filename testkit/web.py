"""A folder on a loopback web server that remembers what it was asked for."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Site:
    """A running server."""

    url: str
    answered: list[str] = field(default_factory=list)
    """Paths that were there, in the order of the answers."""
    read: list[str] = field(default_factory=list)
    """Those of them whose contents were asked for: not by ``HEAD``."""


def _none(_path: str) -> Mapping[str, str]:
    return {}


@contextmanager
def served(
    folder: Path,
    *,
    headers: Callable[[str], Mapping[str, str]] = _none,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Site]:
    """Serve a folder while the context lasts, over TLS if there is a context for it.

    ``headers`` tells what to add for a path.
    """
    site = Site("")
    handler = partial(_Handler, site, headers, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            # Handshakes are the business of a connection's thread: here, one would hold up all.
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme, host = ("http", "127.0.0.1") if tls is None else ("https", "localhost")
        site.url = f"{scheme}://{host}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(
        self,
        site: Site,
        headers: Callable[[str], Mapping[str, str]],
        *arguments: Any,
        **named: Any,
    ) -> None:
        self._site = site
        self._added = headers
        super().__init__(*arguments, **named)

    def send_response(self, code: int, message: str | None = None) -> None:
        if code == 200:
            self._site.answered.append(self.path)
            if self.command == "GET":
                self._site.read.append(self.path)
        super().send_response(code, message)

    def end_headers(self) -> None:
        for name, value in self._added(self.path.partition("?")[0]).items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
