"""Requests to S3's REST interface: signed, and retried until there is a response.

boto3's own S3 client takes a quarter of a second to create and a millisecond of CPU per request,
more than all else that a cold extract does (docs/performance.md).  This client sends the nine
operations that sluice needs: botocore finds credentials, ``s3_signature`` signs, and
``http_connections`` sends.  botocore's model of every operation is left out.

Some requests have a deadline.  Each try of such a request is signed, *then* the clock is compared
with the deadline, then it is sent.  A process may fall asleep anywhere, even for days.  If it does
so before it signs, the comparison stops it.  If after, S3 does: it refuses what was signed more
than 15 minutes ago (``RequestTimeTooSkewed``).  AWS says so under "Time stamp requirement" in
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html and, of the signatures that
are made here, in
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html.
"""

from __future__ import annotations

import os
import random
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree as ET
from zlib import crc32

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.credentials import Credentials, EnvProvider
from botocore.exceptions import BotoCoreError
from botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from sluice.conda.timestamps import Clock, EpochMs
from sluice.errors import Misconfigured, TooLate
from sluice.limits import (
    ATTEMPTS_MAX,
    CONCURRENT_REQUESTS_MAX,
    CONNECT_TIMEOUT_ELSEWHERE_SECONDS,
    CONNECT_TIMEOUT_SECONDS,
    READ_TIMEOUT_SECONDS,
    RETRY_WAIT_SECONDS_MAX,
    UNREACHABLE_ATTEMPTS_MAX,
)
from sluice.storage.http_connections import (
    Exchange,
    HttpConnections,
    Timeouts,
    host_header,
    request_target,
)
from sluice.storage.s3_failures import classify, explain_foreign_response
from sluice.storage.s3_signature import (
    SigningKeys,
    UnsignedRequest,
    payload_digest,
    sign,
    timestamp_of,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

TRANSPORT_ERRORS = (BotoCoreError, HTTPError)
"""Errors of a request without a response.  botocore passes on urllib3's errors where TLS fails in a
body."""

_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
_TRANSIENT_CODES = frozenset({"RequestTimeout", "RequestTimeTooSkewed"})
FIRST_ERROR_STATUS = 300
"""The lowest HTTP status that is not a success."""
CHECKSUM_HEADER = "x-amz-checksum-crc32"
"""Name of the header with the checksum of a PUT's body."""
_NAMESPACE = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
"""The namespace in S3's documents.  Removing it from the bytes saves renaming a thousand
elements."""
_URL_SUFFIXES = {"cn": "amazonaws.com.cn"}
"""Domains by the first part of a region's name; all other regions use ``amazonaws.com``."""

_BODILESS_METHODS = frozenset({"GET", "HEAD"})
_URLS_CACHED_MAX = 64

Send = Callable[[AWSPreparedRequest], AWSResponse]
Begin = Callable[[AWSPreparedRequest], Exchange]
"""Sends a request whose response is received later."""


def wall_clock_ms() -> EpochMs:
    """The time of this machine's clock."""
    return time.time_ns() // 1_000_000


class MalformedResponse(Exception):
    """A response document that cannot be parsed: as good as no response."""


class ForeignResponse(MalformedResponse):
    """A response that no S3 gives, for example a page of HTML: the endpoint is another server."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The location of an S3 server, and how it addresses buckets."""

    region: str
    url: str | None = None
    """The URL of an S3 that is not AWS's, without a slash at its end."""
    path_style: bool | None = None
    """Whether the bucket is in the path, and not in the host's name.  ``None``: in the host's name
    on AWS, in the path elsewhere, because another S3 may lack such host names."""

    def __post_init__(self) -> None:
        """Raise ``Misconfigured`` for what is no URL of a server."""
        if self.url is not None:
            check_server_url(self.url)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Endpoint:
        """Read ``AWS_REGION`` and ``AWS_ENDPOINT_URL_S3``, or the SDKs' more general variables.

        Raises ``Misconfigured`` if there is no region.
        """
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
        if not region:
            raise Misconfigured("neither AWS_REGION nor AWS_DEFAULT_REGION is set")
        url = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
        return cls(region, url.rstrip("/") if url else None)

    @property
    def server_url(self) -> str:
        """The URL of the server, without a bucket."""
        return self.url or self._aws_url()

    def bucket_url(self, bucket: str) -> str:
        """The URL that the keys of a bucket are appended to."""
        return _bucket_url(self, bucket)

    def make_bucket_url(self, bucket: str) -> str:
        """``bucket_url``, which remembers it."""
        base = self.url or self._aws_url()
        if self._is_in_path(bucket):
            return f"{base}/{bucket}"
        scheme, _, host = base.partition("//")
        return f"{scheme}//{bucket}.{host}"

    def object_url(self, bucket: str, key: str) -> str:
        """The URL of a key, or of the bucket if ``key`` is empty.

        A bucket in the path has no slash after it then, as in boto3's requests: there are servers
        that refuse the signature of ``/bucket/?list-type=2``.
        """
        bucket_url = self.bucket_url(bucket)
        if not key and self._is_in_path(bucket):
            return bucket_url
        return f"{bucket_url}/{quote(key, safe='/~')}"

    def _is_in_path(self, bucket: str) -> bool:
        if self.url is not None if self.path_style is None else self.path_style:
            return True
        # A wildcard certificate does not cover a host with further dots in it.
        return "." in bucket and (self.url or self._aws_url()).startswith("https:")

    def _aws_url(self) -> str:
        suffix = _URL_SUFFIXES.get(self.region.partition("-")[0], "amazonaws.com")
        return f"https://s3.{self.region}.{suffix}"


@lru_cache(_URLS_CACHED_MAX)
def _bucket_url(endpoint: Endpoint, bucket: str) -> str:
    return endpoint.make_bucket_url(bucket)


def _no_fast_parse(_body: bytes) -> None:
    """Parse nothing, so that the document is parsed in full."""


@dataclass(frozen=True, slots=True)
class S3Request:
    """One request, before it is signed."""

    operation: str
    """The operation's name in the API reference."""
    method: str
    bucket: str
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """They should include the body's checksum."""
    body: bytes | memoryview = b""
    sign_payload: bool = False
    """Whether the signature covers the body over TLS, too; over plain HTTP it always does."""
    stream_body: bool = False
    """Whether the response's body is streamed and not read at once."""
    expects_document: bool = False
    """Whether the response's body must be XML."""
    fast_parse: Callable[[bytes], object] = _no_fast_parse
    """A fast parser of such a body; it returns ``None`` if the body needs the full parser."""


@dataclass(frozen=True, slots=True)
class S3Response:
    """S3's response to one request."""

    status: int
    headers: Mapping[str, str]
    """By name, in any case."""
    http_response: AWSResponse
    document: Element | None = None
    """The body, if it is XML: a result or an error."""
    fast_result: object = None
    """The result of ``fast_parse``."""

    @property
    def content_length(self) -> int:
        """Size of the body in bytes, as announced."""
        return int(self.headers.get("Content-Length", 0))

    @property
    def error_code(self) -> str:
        """S3's own code of an error; empty if it sends none, as for HEAD."""
        return (self.document.findtext("Code") or "") if self.document is not None else ""

    @property
    def is_foreign(self) -> bool:
        """Whether this is an error that no S3 sends: it has a body, which says nothing of S3."""
        is_server_error = self.status in _TRANSIENT_STATUSES
        return not (self.error_code or is_server_error) and self.content_length > 0

    @property
    def error_text(self) -> str:
        """A description of the error, for people."""
        message = self.document.findtext("Message") if self.document is not None else None
        return " ".join(filter(None, [f"status {self.status}", self.error_code, message]))

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes of a streamed body; empty after its end."""
        piece: bytes = self.http_response.raw.read(size)
        return piece

    def close(self) -> None:
        """Drop the connection, unless the body was read to its end."""
        self.http_response.raw.close()


class S3Client:
    """Sends requests to one S3; thread-safe."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Callable[[], Credentials],
        send: Send,
        clock: Clock = wall_clock_ms,
        begin: Begin | None = None,
    ) -> None:
        """``clock`` must keep running while the machine sleeps, as the wall clock does.

        ``begin``: sends what is begun, where requests can be.
        """
        self._endpoint = endpoint
        self._credentials = credentials
        self._clock = clock
        self._has_answered = False
        """Whether the server has ever answered."""
        self._clock_lag_ms = 0
        """How far the clock was behind the ``Date`` of the latest response."""
        self.send = send
        """Sends a signed request, whose context has its ``operation``.

        Raises one of ``TRANSPORT_ERRORS``."""
        self._begin = begin

    @property
    def is_aws(self) -> bool:
        """Whether the server is AWS's own."""
        return self._endpoint.url is None

    @property
    def url(self) -> str:
        """URL of the server, for messages."""
        return self._endpoint.server_url

    def now_ms(self) -> EpochMs:
        """The time of the clock, or of S3's responses if they are ahead of it.

        The clock of a suspended virtual machine may have stopped.  The first response after that
        shows for how long.
        """
        return self._clock() + max(0, self._clock_lag_ms)

    def call(self, request: S3Request, *, not_after_ms: EpochMs | None = None) -> S3Response:
        """Send a request until there is a response, at most ``ATTEMPTS_MAX`` times.

        A refusal is a response.  A retried request may already have been carried out, so a
        conditional write may fail because of itself.  ``not_after_ms``: a deadline by ``now_ms``,
        after which nothing is sent.  Raises one of ``TRANSPORT_ERRORS``, ``MalformedResponse``, or
        ``TooLate``.
        """
        for attempt in range(1, ATTEMPTS_MAX + 1):
            is_last = attempt == ATTEMPTS_MAX
            try:
                response = self._attempt(request, not_after_ms)
            except ForeignResponse:
                raise
            except (*TRANSPORT_ERRORS, MalformedResponse) as error:
                if is_last or self._is_hopeless(error, attempt):
                    raise
            else:
                self._has_answered = True
                if is_last or not _is_transient(response):
                    return response
            # The backoff of botocore's standard mode.
            time.sleep(random.random() * min(2 ** (attempt - 1), RETRY_WAIT_SECONDS_MAX))  # noqa: S311
        raise AssertionError("a loop that returns or raises")

    def _is_hopeless(self, error: Exception, attempt: int) -> bool:
        """Whether a person should read the error now, and not after further attempts."""
        cause = classify(error, self.url, is_first=not self._has_answered)
        is_unreachable = cause.is_unreachable and not self._has_answered
        return cause.is_final or (is_unreachable and attempt >= UNREACHABLE_ATTEMPTS_MAX)

    def begin(self, request: S3Request) -> BegunRequest:
        """Send a request now, and receive its response later."""
        exchange = None
        if self._begin is not None:
            # If it cannot be sent, it is sent again when its response is wanted.
            with suppress(*TRANSPORT_ERRORS):
                exchange = self._begin(self._sign(request))
        return BegunRequest(self, request, exchange)

    def finish(self, request: S3Request, exchange: Exchange) -> S3Response | None:
        """Receive the response of a begun request; ``None``: it must be sent again.

        Raises ``ForeignResponse``.
        """
        try:
            response = self._read(request, exchange.response())
        except ForeignResponse:
            raise
        except (*TRANSPORT_ERRORS, MalformedResponse):
            return None
        self._has_answered = True
        return None if _is_transient(response) else response

    def _attempt(self, request: S3Request, not_after_ms: EpochMs | None) -> S3Response:
        signed = self._sign(request)
        # The order matters: see the module's docstring.
        if not_after_ms is not None and self.now_ms() > not_after_ms:
            raise TooLate(f"{request.operation} {request.key}: its deadline has passed")
        return self._read(request, self.send(signed))

    def _read(self, request: S3Request, response: AWSResponse) -> S3Response:
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
                content_type = response.headers.get("Content-Type")
                if content_type and "xml" not in content_type:
                    raise ForeignResponse(
                        explain_foreign_response(status, self.url, content_type)
                    ) from error
                raise MalformedResponse(f"the response is not valid XML: {error}") from error
            document = None  # something in front of S3, for example a proxy, refused
        if document is not None:
            _strip_namespaces(document)
        return S3Response(status, response.headers, response, document)

    def _update_clock_lag(self, response: AWSResponse) -> None:
        date = response.headers.get("Date")
        at_ms = _parse_http_date(date) if date else None
        if at_ms is not None:
            self._clock_lag_ms = at_ms - self._clock()

    def _sign(self, request: S3Request) -> AWSPreparedRequest:
        url = self._endpoint.object_url(request.bucket, request.key)
        if request.query:
            url += f"?{urlencode(request.query, quote_via=quote, safe='~')}"
        keys = self._credentials().get_frozen_credentials()
        # AWS verifies a body's checksum, and TLS protects it on the way.  Hashing the body again
        # for the signature would take longer than anything else about a large file.
        is_signed = request.sign_payload or not url.startswith("https:")
        if keys.access_key is None or keys.secret_key is None:
            raise Misconfigured("no AWS credentials")
        headers = sign(
            UnsignedRequest(
                request.method,
                host_header(url),
                request_target(url),
                request.headers,
                payload_digest(request.body, is_signed=is_signed),
            ),
            SigningKeys(keys.access_key, keys.secret_key, keys.token),
            self._endpoint.region,
            timestamp=timestamp_of(time.time()),
        )
        if request.method not in _BODILESS_METHODS:
            headers["Content-Length"] = str(len(request.body))
        return AWSPreparedRequest(
            request.method,
            url,
            headers,  # type: ignore[arg-type] # any mapping
            request.body or None,  # type: ignore[arg-type] # a memoryview, too
            request.stream_body,
            {"operation": request.operation},
        )


class BegunRequest:
    """A request that was sent, and whose response was not yet received."""

    def __init__(self, client: S3Client, request: S3Request, exchange: Exchange | None) -> None:
        self._client = client
        self.request = request
        self._exchange = exchange

    def response(self) -> S3Response:
        """Wait for the response, see ``S3Client.call``; once."""
        exchange, self._exchange = self._exchange, None
        response = self._client.finish(self.request, exchange) if exchange else None
        return response or self._client.call(self.request)

    def drop(self) -> None:
        """Do without the response."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.drop()


def _is_transient(response: S3Response) -> bool:
    return response.status in _TRANSIENT_STATUSES or response.error_code in _TRANSIENT_CODES


def make_s3_client(
    endpoint: Endpoint | None = None,
    credentials: Credentials | None = None,
    *,
    ca_bundle: str | None = None,
    clock: Clock = wall_clock_ms,
) -> S3Client:
    """Create a client; missing arguments come from the environment.

    ``ca_bundle`` is the path of a file with the certificates to trust.  Each request gets its
    credentials from botocore, so expiring ones can be renewed.  Raises ``Misconfigured``.
    """
    endpoint = endpoint or Endpoint.from_env(os.environ)
    ca_file = ca_bundle or os.environ.get("AWS_CA_BUNDLE")
    connect_timeout = (
        CONNECT_TIMEOUT_SECONDS if endpoint.url is None else CONNECT_TIMEOUT_ELSEWHERE_SECONDS
    )
    if ca_file:
        check_ca_file(ca_file, endpoint.server_url)
    connections = HttpConnections(
        ca_file=ca_file,
        proxies=get_environ_proxies(endpoint.bucket_url("bucket")),
        timeouts=Timeouts(connect_timeout, READ_TIMEOUT_SECONDS),
        kept_max=CONCURRENT_REQUESTS_MAX,
    )
    resolved = credentials or find_credentials()
    begin = connections.begin if connections.can_begin else None
    return S3Client(endpoint, lambda: resolved, connections.send, clock, begin)


def check_server_url(url: str) -> None:
    """Raise ``Misconfigured`` unless this is ``http://`` or ``https://`` with a host."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of the port, or of an IPv6 address
        is_usable = False
    if not is_usable:
        raise Misconfigured(
            f"{url!r} is not the URL of an S3 endpoint, for example http://127.0.0.1:9000. Check "
            "--endpoint-url, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and the profile"
        )


def check_ca_file(path: str, url: str) -> None:
    """Raise ``Misconfigured`` if an HTTPS server would be checked against a file that is not there.

    botocore says of that neither which file it is nor where its name comes from.
    """
    if not url.startswith("https:") or Path(path).is_file():
        return
    is_from_env = os.environ.get("AWS_CA_BUNDLE") == path
    setting = "the variable AWS_CA_BUNDLE" if is_from_env else "ca_bundle of the profile"
    raise Misconfigured(
        f"the CA bundle {path} does not exist, so the certificate of {url} cannot be checked: "
        f"correct {setting}"
    )


def find_credentials() -> Credentials:
    """Find credentials in the environment, where Lambda puts them, or where the SDKs look.

    Raises ``Misconfigured`` if there are none.
    """
    credentials = EnvProvider().load()
    if credentials is None:
        import botocore.session  # noqa: PLC0415 - its import takes a quarter of the time of boto3's

        credentials = botocore.session.get_session().get_credentials()
    if credentials is None:
        raise Misconfigured("no AWS credentials")
    return credentials


def crc32_checksum(body: bytes | memoryview) -> str:
    """The CRC-32 of a body in the form of S3's headers."""
    return b64encode(crc32(body).to_bytes(4, "big")).decode()


@lru_cache(1)
def _parse_http_date(date: str) -> int | None:
    """Parse a ``Date`` header; ``None`` if it is not valid."""
    try:
        return int(parsedate_to_datetime(date).timestamp()) * 1000
    except (ValueError, OverflowError):
        return None


def _strip_namespaces(document: Element) -> None:
    """Remove namespaces from element names; not every S3-compatible server sends one."""
    if not document.tag.startswith("{"):
        return
    for element in document.iter():
        element.tag = element.tag.rpartition("}")[2]
