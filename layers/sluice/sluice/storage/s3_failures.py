"""Explains to people why a request failed: the cause, the endpoint, and what to change.

``classify`` also decides whether to send the request again: no retry can help with a certificate
that is not trusted.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, auto
from http.client import BadStatusLine
from urllib.parse import urlsplit

from sluice.limits import SNIFF_SECONDS
from sluice.text import printable

_ENDPOINT = "the endpoint (--endpoint-url, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile)"

_NO_TLS_REASONS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
_NO_CA_REASONS = frozenset({"NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE"})
_CLOSED = (ConnectionResetError, BadStatusLine, BrokenPipeError)
"""Errors of a connection that the server closes instead of answering."""
_RIGHTS = {
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}
"""The right that each operation takes."""
_DENIED_STATUSES = frozenset({401, 403})
_NOT_IMPLEMENTED = 501
_ADVICE = {
    "NoSuchBucket": "check the name of the bucket, and the endpoint or region",
    "InvalidAccessKeyId": "check the access key: AWS_ACCESS_KEY_ID or the profile",
    "SignatureDoesNotMatch": "check the secret key: AWS_SECRET_ACCESS_KEY or the profile",
    "ExpiredToken": "log in again, or renew AWS_SESSION_TOKEN",
    "InvalidToken": "log in again, or renew AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "correct the clock of this machine",
    "PermanentRedirect": "the bucket is in another region: set --region or AWS_REGION",
    "AuthorizationHeaderMalformed": "check the region: --region or AWS_REGION",
    "NotImplemented": "this S3 server does not support an operation or a header that sluice needs: "
    "use another server",
}
"""What to change, by S3's error code."""


class Cause(Enum):
    """A cause of a request without a response."""

    REFUSED = auto()
    UNKNOWN_HOST = auto()
    UNTRUSTED = auto()
    """The server's certificate is not trusted."""
    NO_TLS = auto()
    """The server does not speak TLS."""
    NEEDS_TLS = auto()
    """The server speaks nothing but TLS."""
    NO_CA_FILE = auto()
    """The file with the certificates to trust cannot be read."""
    OTHER = auto()

    @property
    def is_final(self) -> bool:
        """Whether no later attempt can succeed."""
        return self in (Cause.UNTRUSTED, Cause.NO_TLS, Cause.NEEDS_TLS, Cause.NO_CA_FILE)

    @property
    def is_unreachable(self) -> bool:
        """Whether there is no connection at all.  That passes, but hardly in seconds."""
        return self in (Cause.REFUSED, Cause.UNKNOWN_HOST)


def classify(error: BaseException, url: str, *, is_first: bool = True) -> Cause:
    """The cause of a failed request to a URL; ``is_first``: the server has never answered.

    A server that neither answers nor completes a handshake is then asked once in the other of HTTP
    and HTTPS, which takes at most ``SNIFF_SECONDS`` or two of them.
    """
    chain = list(_chain(error))
    cause = next(filter(None, map(_cause_of, chain)), Cause.OTHER)
    if cause is not Cause.OTHER or not is_first:
        return cause
    if url.startswith("https:") and any(_is_handshake_timeout(inner) for inner in chain):
        return Cause.NO_TLS if _speaks_plain_http(url) else Cause.OTHER
    if url.startswith("http:") and any(isinstance(inner, _CLOSED) for inner in chain):
        return Cause.NEEDS_TLS if _speaks_tls(url) else Cause.OTHER
    return Cause.OTHER


def explain_failure(error: BaseException, url: str, *, is_aws: bool) -> str:
    """A sentence about a request to the endpoint ``url`` that had no response."""
    cause = classify(error, url)
    if cause is Cause.OTHER:
        return str(error) if url in str(error) else f"{error} (endpoint {url})"
    origin = "the region (--region or AWS_REGION)" if is_aws else _ENDPOINT
    host, address = urlsplit(url).hostname, url.partition("//")[2]
    return {
        Cause.REFUSED: f"connection refused: no server listens at {url}. Check {origin}",
        Cause.UNKNOWN_HOST: (
            f"cannot resolve the host {host} of {url}: it does not exist, or the network is down. "
            f"Check {origin}"
        ),
        Cause.UNTRUSTED: (
            f"the certificate of {url} is not trusted: {_certificate_problem(error)}. Set "
            "AWS_CA_BUNDLE, or ca_bundle of the profile, to the CA bundle of the server"
        ),
        Cause.NO_TLS: f"{url} does not use TLS: use http://{address}. Check {_ENDPOINT}",
        Cause.NEEDS_TLS: f"{url} uses TLS: use https://{address}. Check {_ENDPOINT}",
        Cause.NO_CA_FILE: (
            f"the CA bundle for {url} cannot be read: {error}. Correct AWS_CA_BUNDLE, or ca_bundle "
            "of the profile"
        ),
    }[cause]


def advise(operation: str, status: int, code: str) -> str | None:
    """What to change after S3 refused a request; ``None`` if nothing is known to help."""
    if code in _ADVICE:
        return _ADVICE[code]
    if code == "AccessDenied" or (not code and status in _DENIED_STATUSES):
        right = _RIGHTS.get(operation)
        return f"the credentials need the permission {right}" if right else None
    if status == _NOT_IMPLEMENTED:
        return _ADVICE["NotImplemented"]
    return None


def explain_foreign_response(status: int, url: str, content_type: str | None) -> str:
    """A sentence about a response that no S3 gives."""
    kind = f", of type {printable(content_type)}" if content_type else ""
    return f"the response of {url} is not one of S3: status {status}{kind}. Check {_ENDPOINT}"


def _certificate_problem(error: BaseException) -> str:
    for inner in _chain(error):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return inner.verify_message
    return str(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it was raised for; botocore and urllib3 wrap each other's."""
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        inner = inner.__cause__ or inner.__context__


def _cause_of(error: BaseException) -> Cause | None:
    """The cause that one error alone shows."""
    if isinstance(error, ssl.SSLError):
        if isinstance(error, ssl.SSLCertVerificationError):
            return Cause.UNTRUSTED
        if error.reason in _NO_TLS_REASONS:
            return Cause.NO_TLS
        return Cause.NO_CA_FILE if error.reason in _NO_CA_REASONS else None
    causes = {
        ConnectionRefusedError: Cause.REFUSED,
        socket.gaierror: Cause.UNKNOWN_HOST,
        FileNotFoundError: Cause.NO_CA_FILE,
        PermissionError: Cause.NO_CA_FILE,
        IsADirectoryError: Cause.NO_CA_FILE,
    }
    return next((cause for kind, cause in causes.items() if isinstance(error, kind)), None)


def _is_handshake_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError) and "handshake" in str(error)


def _speaks_tls(url: str) -> bool:
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent: only whether it is TLS matters
    host = parts.hostname or ""
    with (
        suppress(OSError, ValueError),
        socket.create_connection((host, parts.port or 80), SNIFF_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        return True
    return False


def _speaks_plain_http(url: str) -> bool:
    parts = urlsplit(url)
    with (
        suppress(OSError, ValueError),
        socket.create_connection((parts.hostname or "", parts.port or 443), SNIFF_SECONDS) as sock,
    ):
        sock.settimeout(SNIFF_SECONDS)
        sock.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        return sock.recv(5) == b"HTTP/"
    return False
