"""Signatures of requests to S3 (Signature Version 4).  Pure.

botocore's signer serves every service and every kind of request: it takes a tenth of a millisecond,
and derives the signing key again for each request.  This one knows only S3's requests, whose path
is signed as it is sent, and derives the key once per day and region.  A property test holds it to
botocore's.  The rules:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_EMPTY_SHA256 = sha256(b"").hexdigest()
_KEYS_CACHED_MAX = 8
"""Signing keys that are kept: one per day, region and secret key that is in use."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The credentials that sign one request."""

    access_key: str
    secret_key: str
    token: str | None = None


def payload_digest(body: bytes | memoryview, *, is_signed: bool) -> str:
    """The header ``x-amz-content-sha256`` for a body."""
    if not is_signed:
        return UNSIGNED_PAYLOAD
    return sha256(body).hexdigest() if body else _EMPTY_SHA256


@dataclass(frozen=True, slots=True)
class UnsignedRequest:
    """What a signature covers."""

    method: str
    host: str
    """The header of that name, without the scheme's own port."""
    target: str
    """The path with the query, percent-encoded as they are sent."""
    headers: Mapping[str, str]
    payload: str
    """See ``payload_digest``."""


def sign(
    request: UnsignedRequest, keys: SigningKeys, region: str, *, timestamp: str
) -> dict[str, str]:
    """The headers to send: those given, and those of the signature.

    ``timestamp``: see ``timestamp_of``.
    """
    payload = request.payload
    sent = {**request.headers, "X-Amz-Date": timestamp}
    if keys.token:
        sent["X-Amz-Security-Token"] = keys.token
    sent["X-Amz-Content-SHA256"] = payload
    signed = [(name.lower(), " ".join(value.split())) for name, value in sent.items()]
    signed.append(("host", request.host))
    signed.sort()
    names = ";".join([name for name, _ in signed])
    path, _, query = request.target.partition("?")
    canonical = (
        f"{request.method}\n{path}\n{_canonical_query(query)}\n"
        + "".join([f"{name}:{value}\n" for name, value in signed])
        + f"\n{names}\n{payload}"
    )
    day = timestamp[:8]
    scope = f"{day}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = _signing_key(keys.secret_key, day, region)
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    sent["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return sent


def timestamp_of(seconds: float) -> str:
    """A time in seconds since the epoch, as signatures have it."""
    return _timestamp_of(int(seconds))


def _canonical_query(query: str) -> str:
    """The parameters sorted by name and value, in the encoding in which they are sent."""
    if "&" not in query:
        return query if "=" in query or not query else f"{query}="
    pairs = [pair.partition("=") for pair in query.split("&")]
    return "&".join([f"{name}={value}" for name, _, value in sorted(pairs)])


@lru_cache(_KEYS_CACHED_MAX)
def _signing_key(secret_key: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(1)
def _timestamp_of(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
