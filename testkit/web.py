"""A folder on a loopback web server that remembers what it was asked for."""

from __future__ import annotations

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


def _none(_path: str) -> Mapping[str, str]:
    return {}


@contextmanager
def served(folder: Path, *, headers: Callable[[str], Mapping[str, str]] = _none) -> Iterator[Site]:
    """Serve a folder while the context lasts; ``headers`` tells what to add for a path."""
    site = Site("")
    handler = partial(_Handler, site, headers, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
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
        super().send_response(code, message)

    def end_headers(self) -> None:
        for name, value in self._added(self.path.partition("?")[0]).items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
