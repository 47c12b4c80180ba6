"""The answers of the HTTP side, request by request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice.admin.watch.authentication import Credentials
from sluice.admin.watch.metrics import WatchMetrics
from sluice.admin.watch.receiver import Receiver, WatchStatus
from sluice.limits import WATCH_NOTIFICATION_BYTES_MAX
from sluice.messages.s3_event import ObjectEvent

TOKEN = "secret"
UPLOAD = json.dumps(
    {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "team/noarch/a-1-0.conda"}}}]}
).encode()


@dataclass
class Process:
    """A receiver, and what it is told by the rest of the process."""

    accepts_events: bool = True
    credentials: Credentials | None = field(default_factory=lambda: Credentials(token=TOKEN))
    refused: str | None = None
    unready: str | None = None
    alive: bool = True
    hints: list[ObjectEvent] = field(default_factory=list)
    bytes_read: int = 0

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        authorization: str | None = f"Bearer {TOKEN}",
        stated: str | None = None,
        parts: int = 1,
    ) -> tuple[int, str, dict[str, str]]:
        headers = []
        if authorization is not None:
            headers.append((b"authorization", authorization.encode()))
        if stated is not None:
            headers.append((b"content-length", stated.encode()))
        size = -(-len(body) // parts) if body else 1
        chunks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            chunk = chunks.pop(0)
            self.bytes_read += len(chunk)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        asyncio.run(self._receiver()(scope, receive, send))
        start, end = sent
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        assert answered["content-length"] == str(len(end["body"]))
        return start["status"], end["body"].decode(), answered

    def post(self, body: bytes = UPLOAD, **options: Any) -> int:
        return self.request("POST", "/events", body, **options)[0]

    def _receiver(self) -> Receiver:
        return Receiver(
            credentials=self.credentials,
            accepts_events=self.accepts_events,
            hint=self._hint,
            why_refused=lambda: self.refused,
            status=WatchStatus(
                is_alive=lambda: self.alive, why_not_ready=lambda: self.refused or self.unready
            ),
            metrics=WatchMetrics(),
        )

    def _hint(self, events: Sequence[ObjectEvent]) -> None:
        self.hints += events


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.mark.parametrize("parts", [1, 7])
def test_a_notification_becomes_hints(process: Process, parts: int) -> None:
    assert process.post(parts=parts) == 200
    assert process.hints == [ObjectEvent("b", "team/noarch/a-1-0.conda", None)]


@pytest.mark.parametrize("shown", [None, "", "Bearer other", "Basic eDp5"])
def test_without_credentials_there_is_no_hint_and_no_body_is_read(
    process: Process, shown: str | None
) -> None:
    status, _, headers = process.request("POST", "/events", UPLOAD, authorization=shown)
    assert (status, process.hints, process.bytes_read) == (401, [], 0)
    assert headers["www-authenticate"].startswith("Bearer")


def test_anonymous_senders_are_let_in_where_that_is_wanted(process: Process) -> None:
    process.credentials = None
    assert process.post(authorization=None) == 200
    assert process.hints


def test_where_events_are_not_set_up_none_is_taken(process: Process) -> None:
    process.accepts_events = False
    assert process.post() == 403
    assert process.hints == []


def test_a_stated_length_above_the_bound_is_refused_unread(process: Process) -> None:
    for stated in (str(WATCH_NOTIFICATION_BYTES_MAX + 1), "-1", "many", str(10**30)):
        assert process.post(stated=stated) == 413
    assert process.bytes_read == 0


def test_a_body_above_the_bound_is_refused_though_it_states_no_length(process: Process) -> None:
    body = b" " * (4 * WATCH_NOTIFICATION_BYTES_MAX)
    assert process.post(body, parts=64) == 413
    assert process.bytes_read <= WATCH_NOTIFICATION_BYTES_MAX + len(body) // 64
    assert process.post(UPLOAD + b" " * (WATCH_NOTIFICATION_BYTES_MAX - len(UPLOAD))) == 200


def test_what_is_no_notification_is_a_bad_request(process: Process) -> None:
    status, text, _ = process.request("POST", "/events", b'{"nonsense": "\\u001b[31m"}')
    assert status == 400
    assert "not an S3 event" in text
    assert "\x1b" not in text


def test_a_standby_takes_no_events_and_is_not_ready_but_healthy(process: Process) -> None:
    process.refused = "another process holds the lease"
    assert process.post() == 503
    assert process.hints == []
    assert process.request("GET", "/readyz")[:2] == (503, "another process holds the lease\n")
    assert process.request("GET", "/healthz")[0] == 200


def test_it_is_ready_after_its_first_listing(process: Process) -> None:
    process.unready = "not listed yet: s3://b/team"
    assert process.request("GET", "/readyz")[0] == 503
    assert process.post() == 200
    process.unready = None
    assert process.request("GET", "/readyz")[0] == 200


def test_it_is_unhealthy_after_a_crash(process: Process) -> None:
    process.alive = False
    assert process.request("GET", "/healthz")[0] == 500


def test_metrics_need_no_credentials(process: Process) -> None:
    status, text, headers = process.request("GET", "/metrics", authorization=None)
    assert status == 200
    assert "sluice_watch_leader" in text
    assert headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/events", 405),
        ("PUT", "/events", 405),
        ("POST", "/healthz", 405),
        ("GET", "/", 404),
        ("POST", "/events/", 404),
    ],
)
def test_other_requests_are_refused(process: Process, method: str, path: str, status: int) -> None:
    assert process.request(method, path)[0] == status
