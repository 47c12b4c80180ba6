"""What S3 answers, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

_STATUS = {
    "BadDigest": 400,
    "EntityTooSmall": 400,
    "InvalidArgument": 400,
    "InvalidPart": 400,
    "MalformedXML": 400,
    "XAmzContentSHA256Mismatch": 400,
    "InvalidObjectState": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "PreconditionFailed": 412,
    "InvalidRange": 416,
    "NotImplemented": 501,
}
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True, slots=True)
class Response:
    """A response."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | memoryview = b""
    size: int | None = None
    """``Content-Length`` where that is not the body's: of an answer to HEAD."""


class S3Error(Exception):
    """A request that S3 answers with an error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code

    def answer(self, resource: str) -> Response:
        """The error as S3 writes it."""
        code = element("Code", self.code) + element("Message", self.code)
        body = f"<Error>{code}{element('Resource', resource)}<RequestId>0</RequestId></Error>"
        return xml(body, status=_STATUS[self.code])


def element(name: str, text: object) -> str:
    """An XML element that holds text."""
    return f"<{name}>{escape(str(text))}</{name}>"


def document(name: str, content: str) -> Response:
    """A successful answer that has a body."""
    return xml(f'<{name} xmlns="{_NAMESPACE}">{content}</{name}>')


def xml(body: str, *, status: int = 200) -> Response:
    """An answer whose body is XML."""
    declared = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
    return Response(status, {"Content-Type": "application/xml"}, declared.encode())
