"""The ASGI application of the process: receives events, and reports health and metrics.

A notification is answered before any request is sent to S3, because some servers deliver it while
the upload waits.  It is a hint that is kept in memory: a listing finds what is lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sluice.admin.watch.authentication import Credentials
from sluice.admin.watch.metrics import CONTENT_TYPE, WatchMetrics
from sluice.admin.watch.notifications import parse_notification
from sluice.errors import SluiceError
from sluice.limits import WATCH_NOTIFICATION_BYTES_MAX
from sluice.messages.s3_event import ObjectEvent
from sluice.text import printable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TEXT = "text/plain; charset=utf-8"
_METHODS: Mapping[str, tuple[str, ...]] = {
    "/events": ("POST",),
    **dict.fromkeys(("/healthz", "/readyz", "/metrics"), ("GET", "HEAD")),
}


class WatchStatus:
    """How the process is, as its parts say."""

    def __init__(
        self, *, is_alive: Callable[[], bool], why_not_ready: Callable[[], str | None]
    ) -> None:
        self.is_alive = is_alive
        self.why_not_ready = why_not_ready
        """A sentence while it is not ready."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    status: HTTPStatus
    text: str | bytes = ""
    content_type: str = TEXT
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Receiver:
    """Answers requests."""

    credentials: Credentials | None
    """What senders of events have to show; ``None``: nothing."""
    accepts_events: bool
    """Whether events are received at all."""
    hint: Callable[[Sequence[ObjectEvent]], None]
    """Called with the events of a notification.  Must not wait for anything."""
    why_refused: Callable[[], str | None]
    """Why no event is taken now: this process is not the one that works."""
    status: WatchStatus
    metrics: WatchMetrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, see the specification of ASGI."""
        if scope["type"] != "http":
            return
        answer = await self._answer(scope, receive)
        if (scope["method"], scope["path"]) == ("POST", "/events"):
            self.metrics.notifications.labels(str(answer.status.value)).inc()
        body = answer.text if isinstance(answer.text, bytes) else answer.text.encode()
        headers = {
            "content-type": answer.content_type,
            "content-length": str(len(body)),
            **(answer.headers or {}),
        }
        await send(
            {
                "type": "http.response.start",
                "status": answer.status.value,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        allowed = _METHODS.get(path)
        if allowed is None:
            return Answer(HTTPStatus.NOT_FOUND, "not found: send events to POST /events\n")
        if method not in allowed:
            headers = {"allow": ", ".join(allowed)}
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, headers=headers)
        if path == "/events":
            return await self._take_events(scope, receive)
        return self._describe(path)

    def _describe(self, path: str) -> Answer:
        if path == "/metrics":
            return Answer(HTTPStatus.OK, self.metrics.render(), CONTENT_TYPE)
        if path == "/readyz" and (reason := self.status.why_not_ready()) is not None:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{reason}\n")
        if path == "/healthz" and not self.status.is_alive():
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "a thread has failed\n")
        return Answer(HTTPStatus.OK, "ok\n")

    async def _take_events(self, scope: Scope, receive: Receive) -> Answer:
        headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
        if not self.accepts_events:
            return Answer(
                HTTPStatus.FORBIDDEN,
                "events are disabled: set SLUICE_WATCH_TOKEN or SLUICE_WATCH_USER\n",
            )
        shown = headers.get("authorization", b"").decode("latin-1")
        if self.credentials is not None and not self.credentials.accept(shown):
            challenge = {"www-authenticate": 'Bearer, Basic realm="sluice"'}
            return Answer(HTTPStatus.UNAUTHORIZED, "invalid credentials\n", headers=challenge)
        body = await _read_body(headers, receive)
        if body is None:
            return Answer(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body is larger than {WATCH_NOTIFICATION_BYTES_MAX} bytes\n",
                headers={"connection": "close"},
            )
        if (reason := self.why_refused()) is not None:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{reason}\n")
        try:
            events = parse_notification(body)
        except SluiceError as error:
            return Answer(HTTPStatus.BAD_REQUEST, f"{printable(str(error))}\n")
        self.hint(events)
        return Answer(HTTPStatus.OK)


async def _read_body(headers: Mapping[str, bytes], receive: Receive) -> bytes | None:
    """Read a body; ``None`` if it is too large, or its sender has gone."""
    stated = headers.get("content-length", b"0")
    if not stated.isdigit() or int(stated) > WATCH_NOTIFICATION_BYTES_MAX:
        return None
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > WATCH_NOTIFICATION_BYTES_MAX:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)
