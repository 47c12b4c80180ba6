"""One bucket behind S3's REST interface: its requests, and the errors of those that fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sluice.errors import Unavailable
from sluice.storage.object_store import ObjectHeaders
from sluice.storage.s3_client import (
    CHECKSUM_HEADER,
    TRANSPORT_ERRORS,
    BegunRequest,
    MalformedResponse,
    S3Client,
    S3Request,
    S3Response,
    crc32_checksum,
)
from sluice.storage.s3_failures import advise, explain_failure, explain_foreign_response

NOT_FOUND = 404
CONFLICT = 409
PRECONDITION_FAILED = 412
SERVER_ERROR = 500
NOT_IMPLEMENTED = 501
METADATA_PREFIX = "x-amz-meta-"
FAILED = (*TRANSPORT_ERRORS, MalformedResponse)
"""Errors of a request without a response, or with an unreadable one."""


def checksums_suffice() -> bool:
    """Leave bodies out of signatures: the server verifies their checksums, as AWS does."""
    return False


@dataclass(frozen=True, slots=True)
class S3Bucket:
    """Sends requests to one bucket."""

    client: S3Client
    name: str
    sign_payloads: Callable[[], bool] = checksums_suffice
    """Returns whether signatures must cover bodies; called for each body that is sent."""

    def send(self, request: S3Request, *, of: str | None = None) -> S3Response:
        """Send a request; ``of`` names the object in errors where the request has no single key."""
        try:
            return self.client.call(request)
        except FAILED as error:
            name = request.key if of is None else of
            raise self.unavailable_error(request.operation, name, error) from error

    def begin(self, request: S3Request) -> BegunRequest:
        """Send a request whose response is received later, by ``finish``."""
        return self.client.begin(request)

    def finish(self, begun: BegunRequest) -> S3Response:
        """Receive the response of a begun request, as ``send`` does."""
        try:
            return begun.response()
        except FAILED as error:
            raise self.unavailable_error(
                begun.request.operation, begun.request.key, error
            ) from error

    def put_request(self, key: str, body: bytes, headers: Mapping[str, str]) -> S3Request:
        """A PUT of an entire object, with its checksum unless ``headers`` has one."""
        return S3Request(
            "PutObject",
            "PUT",
            self.name,
            key,
            headers={CHECKSUM_HEADER: crc32_checksum(body), **headers},
            body=body,
            sign_payload=self.sign_payloads(),
        )

    def unavailable_error(self, operation: str, key: str, reason: object) -> Unavailable:
        """The error of a failed operation.

        ``reason``: a sentence, an error of a request without a response, or a response.
        """
        return Unavailable(f"{operation} {self.object_url(key)}: {self.explain(operation, reason)}")

    def explain(self, operation: str, reason: object) -> str:
        """The reason of a failure, with the endpoint and what to change, as far as is known."""
        client = self.client
        if isinstance(reason, S3Response):
            if reason.is_foreign:
                content_type = reason.headers.get("Content-Type")
                return explain_foreign_response(reason.status, client.url, content_type)
            advice = advise(operation, reason.status, reason.error_code)
            text = f"{reason.error_text}; {advice}" if advice else reason.error_text
        elif isinstance(reason, TRANSPORT_ERRORS):
            return explain_failure(reason, client.url, is_aws=client.is_aws)
        else:
            text = str(reason)
        has_endpoint = client.is_aws or client.url in text
        return text if has_endpoint else f"{text} (endpoint {client.url})"

    def object_url(self, key: str) -> str:
        """The object's URL, for people."""
        return f"s3://{self.name}/{key}"


def headers_to_send(headers: ObjectHeaders) -> dict[str, str]:
    """Convert the headers stored with a body to HTTP headers."""
    sent = {"Content-Type": headers.content_type}
    if headers.cache_control is not None:
        sent["Cache-Control"] = headers.cache_control
    return sent | {f"{METADATA_PREFIX}{name}": value for name, value in headers.metadata.items()}
