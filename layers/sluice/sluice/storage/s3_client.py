"""Requests to S3's REST interface: signed, sent again where no answer came, answered.

boto3's own S3 client takes a quarter of a second to make and a millisecond of CPU per request,
more than all else that a cold extract does (docs/performance.md).  This one is made of the same
parts, for the nine operations that sluice needs: botocore signs, finds credentials and keeps the
connections; only its model of every operation is left out.

Some requests have a deadline.  Each try of such a request is signed, *then* the clock is compared
with the deadline, then it is sent.  A process may fall asleep anywhere, for days even.  If it does
so before it signs, the comparison stops it.  If after, S3 does: it refuses what was signed more
than 15 minutes ago (``RequestTimeTooSkewed``).  AWS says so under "Time stamp requirement" in
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html and, of the signatures that
are made here, in
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html.
"""

from __future__ import annotations

import os
import random
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET
from zlib import crc32

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.credentials import Credentials, EnvProvider
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from sluice.errors import Misconfigured, TooLate
from sluice.limits import (
    ATTEMPTS_MAX,
    CONCURRENT_REQUESTS_MAX,
    CONNECT_TIMEOUT_SECONDS,
    READ_TIMEOUT_SECONDS,
    RETRY_WAIT_SECONDS_MAX,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

TRANSPORT_ERRORS = (BotoCoreError, HTTPError)
"""No answer at all.  botocore lets urllib3's errors through where TLS fails in a body."""

_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
_TRANSIENT_CODES = frozenset({"RequestTimeout", "RequestTimeTooSkewed"})
FIRST_ERROR_STATUS = 300
"""Status of an answer that is no success."""
CHECKSUM_HEADER = "x-amz-checksum-crc32"
"""Header with the checksum of what a PUT writes."""
_NAMESPACE = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
"""Of the documents of S3; without it a thousand elements have nothing to be renamed."""
_URL_SUFFIXES = {"cn": "amazonaws.com.cn"}
"""By the first part of a region's name; all others' names end in ``amazonaws.com``."""

Send = Callable[[AWSPreparedRequest], AWSResponse]
Clock = Callable[[], int]
"""Now, ms since the epoch."""


def wall_clock_ms() -> int:
    """Tell the time by this machine's clock, in ms since the epoch."""
    return time.time_ns() // 1_000_000


class _UnsignedPayload:
    """What the signer asks of a client's configuration.

    A body has a checksum, which S3 holds against it; hashing it again for the signature would take
    longer than anything else about a large file.
    """

    s3: ClassVar[Mapping[str, bool]] = {"payload_signing_enabled": False}


class MalformedResponse(Exception):
    """A document that is none: as good as no answer."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where S3 is, and how a bucket is named there."""

    region: str
    url: str | None = None
    """Of an S3 that is not AWS's, without a slash at its end."""
    path_style: bool | None = None
    """Whether the bucket is the first part of the path, and not of the host's name.  ``None``: on
    AWS it is not; another S3 need not have names for hosts."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Endpoint:
        """Read ``AWS_REGION`` and ``AWS_ENDPOINT_URL_S3``, or the more general ones of the SDKs.

        Raises ``Misconfigured`` where there is no region.
        """
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
        if not region:
            raise Misconfigured("neither AWS_REGION nor AWS_DEFAULT_REGION is set")
        url = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
        return cls(region, url.rstrip("/") if url else None)

    def bucket_url(self, bucket: str) -> str:
        """The URL that the keys of a bucket are appended to."""
        base = self.url or self._aws_url()
        in_path = self.url is not None if self.path_style is None else self.path_style
        # No certificate is for a host with further dots in it.
        if in_path or ("." in bucket and base.startswith("https:")):
            return f"{base}/{bucket}"
        scheme, _, host = base.partition("//")
        return f"{scheme}//{bucket}.{host}"

    def _aws_url(self) -> str:
        suffix = _URL_SUFFIXES.get(self.region.partition("-")[0], "amazonaws.com")
        return f"https://s3.{self.region}.{suffix}"


def _no_fast_parse(_body: bytes) -> None:
    """Leave a document to be parsed."""


@dataclass(frozen=True, slots=True)
class S3Request:
    """One request, before it is signed."""

    operation: str
    """As the API reference calls it."""
    method: str
    bucket: str
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """A body should come with its checksum there: it has no part in the signature."""
    body: bytes | memoryview = b""
    stream_body: bool = False
    """Whether the answer's body is left to be read."""
    expects_document: bool = False
    """Whether the answer's body is XML, without which it is no answer."""
    fast_parse: Callable[[bytes], object] = _no_fast_parse
    """Reads such a body without parsing it; ``None``: it has to be parsed."""


@dataclass(frozen=True, slots=True)
class S3Response:
    """What S3 says to one request."""

    status: int
    headers: Mapping[str, str]
    """By name, in whatever case."""
    http_response: AWSResponse
    document: Element | None = None
    """The body, where it is XML: a result or an error."""
    fast_result: object = None
    """What was read of it without parsing it."""

    @property
    def content_length(self) -> int:
        """Bytes of the body that were announced."""
        return int(self.headers.get("Content-Length", 0))

    @property
    def error_code(self) -> str:
        """S3's own code of an error; empty where it gives none, as in an answer to HEAD."""
        return (self.document.findtext("Code") or "") if self.document is not None else ""

    @property
    def error_text(self) -> str:
        """What is to be said of an error."""
        message = self.document.findtext("Message") if self.document is not None else None
        return " ".join(filter(None, [f"status {self.status}", self.error_code, message]))

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes of a body that streams; none behind its end."""
        piece: bytes = self.http_response.raw.read(size)
        return piece

    def close(self) -> None:
        """Drop the connection, unless the body was read to its end."""
        self.http_response.raw.close()


class S3Client:
    """Sends requests to one S3; safe to share by threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Callable[[], Credentials],
        send: Send,
        clock: Clock = wall_clock_ms,
    ) -> None:
        """``clock`` has to run on while the machine sleeps, as the wall clock does."""
        self._endpoint = endpoint
        self._credentials = credentials
        self._clock = clock
        self._clock_lag_ms = 0
        """How far the clock was behind the ``Date`` of the newest answer."""
        self.send = send
        """Takes a signed request, whose context says its ``operation``.

        Raises one of ``TRANSPORT_ERRORS``.
        """

    def now_ms(self) -> int:
        """Tell the time by the clock, or by S3's answers where these are ahead of it.

        The clock of a virtual machine that was suspended may have stood still.  The first answer
        after that tells how long.
        """
        return self._clock() + max(0, self._clock_lag_ms)

    def call(self, request: S3Request, *, not_after_ms: int | None = None) -> S3Response:
        """Send a request until it is answered, at most ``ATTEMPTS_MAX`` times.

        A refusal is an answer.  What is sent again may have been done already, so a conditional
        write may meet itself.  ``not_after_ms``: a deadline by ``now_ms``, behind which nothing is
        sent.  Raises one of ``TRANSPORT_ERRORS``, ``MalformedResponse``, or ``TooLate``.
        """
        for attempt in range(1, ATTEMPTS_MAX + 1):
            is_last = attempt == ATTEMPTS_MAX
            try:
                response = self._attempt(request, not_after_ms)
            except (*TRANSPORT_ERRORS, MalformedResponse):
                if is_last:
                    raise
            else:
                transient = (
                    response.status in _TRANSIENT_STATUSES
                    or response.error_code in _TRANSIENT_CODES
                )
                if is_last or not transient:
                    return response
            # As botocore waits in its standard mode.
            time.sleep(random.random() * min(2 ** (attempt - 1), RETRY_WAIT_SECONDS_MAX))  # noqa: S311
        raise AssertionError("a loop that returns or raises")

    def _attempt(self, request: S3Request, not_after_ms: int | None) -> S3Response:
        signed = self._sign(request)
        # In this order: see the head of the module.
        if not_after_ms is not None and self.now_ms() > not_after_ms:
            raise TooLate(f"{request.operation} {request.key}: its deadline has passed")
        response = self.send(signed)
        self._update_clock_lag(response)
        status = response.status_code
        if status < FIRST_ERROR_STATUS and not request.expects_document:
            return S3Response(status, response.headers, response)
        body = response.content
        fast_result = request.fast_parse(body) if status < FIRST_ERROR_STATUS else None
        if fast_result is not None:
            return S3Response(status, response.headers, response, fast_result=fast_result)
        try:
            document = ET.fromstring(body.replace(_NAMESPACE, b"", 1)) if body else None  # noqa: S314 - S3's, over TLS
        except ET.ParseError as error:
            if status < FIRST_ERROR_STATUS:
                raise MalformedResponse(f"a document that cannot be read: {error}") from error
            document = None  # what stands before S3, a proxy say, has refused
        if document is not None:
            _strip_namespaces(document)
        return S3Response(status, response.headers, response, document)

    def _update_clock_lag(self, response: AWSResponse) -> None:
        date = response.headers.get("Date")
        at_ms = _parse_http_date(date) if date else None
        if at_ms is not None:
            self._clock_lag_ms = at_ms - self._clock()

    def _sign(self, request: S3Request) -> AWSPreparedRequest:
        url = f"{self._endpoint.bucket_url(request.bucket)}/{quote(request.key, safe='/~')}"
        if request.query:
            url += f"?{urlencode(request.query, quote_via=quote, safe='~')}"
        unsigned = AWSRequest(
            request.method,
            url,
            headers=request.headers,
            data=request.body,
            stream_output=request.stream_body,
        )
        unsigned.context["client_config"] = _UnsignedPayload()
        unsigned.context["operation"] = request.operation
        credentials = self._credentials().get_frozen_credentials()
        S3SigV4Auth(credentials, "s3", self._endpoint.region).add_auth(unsigned)
        prepared: AWSPreparedRequest = unsigned.prepare()
        return prepared


def make_s3_client(
    endpoint: Endpoint | None = None,
    credentials: Credentials | None = None,
    *,
    ca_bundle: str | None = None,
    clock: Clock = wall_clock_ms,
) -> S3Client:
    """Make a client; what is not given comes from the environment.

    ``ca_bundle`` is the path of a file with the certificates to trust.  Credentials are asked anew
    for each request, so those that expire may renew themselves.  Raises ``Misconfigured``.
    """
    endpoint = endpoint or Endpoint.from_env(os.environ)
    session = URLLib3Session(
        verify=ca_bundle or os.environ.get("AWS_CA_BUNDLE") or True,  # type: ignore[arg-type] # a path, too
        proxies=get_environ_proxies(endpoint.bucket_url("bucket")),
        timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),  # type: ignore[arg-type] # or both
        max_pool_connections=CONCURRENT_REQUESTS_MAX,
        # Head and body go out one after the other: else the body waits 40 ms for the head's ACK.
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # type: ignore[list-item]
    )
    resolved = credentials or find_credentials()
    return S3Client(endpoint, lambda: resolved, session.send, clock)


def find_credentials() -> Credentials:
    """Those of the environment, where Lambda puts them, or wherever else the SDKs look.

    Raises ``Misconfigured`` where there are none.
    """
    credentials = EnvProvider().load()
    if credentials is None:
        import botocore.session  # noqa: PLC0415 - its import is a quarter of that of boto3

        credentials = botocore.session.get_session().get_credentials()
    if credentials is None:
        raise Misconfigured("there are no AWS credentials")
    return credentials


def crc32_checksum(body: bytes | memoryview) -> str:
    """The CRC-32 of a body as S3's headers have it."""
    return b64encode(crc32(body).to_bytes(4, "big")).decode()


@lru_cache(1)
def _parse_http_date(date: str) -> int | None:
    """Read a ``Date`` header; ``None`` where it is none."""
    try:
        return int(parsedate_to_datetime(date).timestamp()) * 1000
    except (ValueError, OverflowError):
        return None


def _strip_namespaces(document: Element) -> None:
    """Name elements as the API reference does; not every S3-compatible server gives a namespace."""
    if not document.tag.startswith("{"):
        return
    for element in document.iter():
        element.tag = element.tag.rpartition("}")[2]
