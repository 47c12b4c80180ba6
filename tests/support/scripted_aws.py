"""Clients whose HTTP layer gives scripted answers, with their own resending around it.

No emulator ever answers 409 or 503, or breaks a connection; S3 does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.client import responses
from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from sluice.storage.s3_client import S3Client


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answers to one request."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    breaks: Exception | None = None
    """What urllib3 raises behind the body."""


def error(status: int, code: str) -> Answer:
    """Answer as S3 does when it refuses."""
    message = responses[status]
    return Answer(
        status, body=f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    )


class _Body(BytesIO):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self._breaks = answer.breaks

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size)
        if self._breaks and (not chunk or size in (None, -1)):
            raise self._breaks
        return chunk

    def stream(self, **_options: Any) -> Iterable[bytes]:
        yield self.read()


def respond(answer: Answer | Exception, request: AWSPreparedRequest) -> AWSResponse:
    """Give an answer as the network would; raises it where it is an exception."""
    if isinstance(answer, Exception):
        raise answer
    headers = HTTPHeaders()
    for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
        headers[name] = value
    return AWSResponse(request.url, answer.status, headers, _Body(answer))


class Script:
    """Answers in order; an exception is raised in the place of an answer."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.requests: list[AWSPreparedRequest] = []
        self._answers = list(answers)

    def attach(self, client: Any) -> None:
        """Stand in for the network of one client, boto3's or ours."""
        if isinstance(client, S3Client):
            client.send = self._answer
        else:
            client.meta.events.register_first("before-send", self._answer)

    def _answer(self, request: AWSPreparedRequest, **_context: Any) -> AWSResponse:
        self.requests.append(request)
        return respond(self._answers.pop(0), request)

    @property
    def exhausted(self) -> bool:
        """Whether every answer was asked for."""
        return not self._answers
