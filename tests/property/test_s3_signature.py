"""Our signatures are botocore's, for whatever S3 may be request_of_botocore."""

from __future__ import annotations

import datetime as dt
from unittest import mock
from urllib.parse import quote, urlencode

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sluice.storage.http_connections import host_header, request_target
from sluice.storage.s3_signature import (
    SigningKeys,
    UnsignedRequest,
    payload_digest,
    sign,
    timestamp_of,
)

ORIGINS = (
    "https://b.s3.eu-central-1.amazonaws.com",
    "https://b.s3.example.com:443",
    "http://127.0.0.1:9000/b",
    "http://s3:80/b",
    "http://[::1]:9000/b",
)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["If-Match", "Range", "x-amz-meta-sluice", "Content-Type", "x-amz-checksum-crc32"]
    ),
    VALUES,
)
QUERIES = st.dictionaries(
    st.sampled_from(
        ["prefix", "list-type", "delete", "start-after", "uploadId", "partNumber", "A"]
    ),
    st.text(max_size=10),
)


def theirs(request: AWSRequest, keys: SigningKeys, region: str, at: dt.datetime) -> str:
    """The header ``Authorization`` that botocore makes."""
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
    with mock.patch("botocore.auth.get_current_datetime", return_value=at):
        S3SigV4Auth(credentials.get_frozen_credentials(), "s3", region).add_auth(request)
    authorization: str = request.headers["Authorization"]
    return authorization


@given(
    origin=st.sampled_from(ORIGINS),
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    key=st.text(max_size=20),
    query=QUERIES,
    headers=HEADERS,
    body=st.binary(max_size=10),
    token=st.none() | st.just("to+ken/="),
    region=st.sampled_from(["us-east-1", "default"]),
    seconds=st.integers(0, 4_000_000_000),
    is_signed=st.booleans(),
)
def test_a_signature_is_the_one_that_botocore_makes(
    *,
    origin: str,
    method: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    token: str | None,
    region: str,
    seconds: int,
    is_signed: bool,
) -> None:
    url = f"{origin}/{quote(key, safe='/~')}"
    if query:
        url += f"?{urlencode(query, quote_via=quote, safe='~')}"
    keys = SigningKeys("AKID", "secret", token)
    request_of_botocore = AWSRequest(method, url, headers=headers, data=body)
    config = mock.Mock(s3={"payload_signing_enabled": is_signed})
    request_of_botocore.context["client_config"] = config
    at = dt.datetime.fromtimestamp(seconds, dt.UTC)
    ours = sign(
        UnsignedRequest(
            method,
            host_header(url),
            request_target(url),
            headers,
            payload_digest(body, is_signed=is_signed),
        ),
        keys,
        region,
        timestamp=timestamp_of(seconds),
    )
    assert ours["Authorization"] == theirs(request_of_botocore, keys, region, at)
    for name, value in request_of_botocore.headers.items():
        assert ours[name] == value


def test_a_key_is_that_of_its_day_and_region_even_if_another_was_used_before() -> None:
    request = UnsignedRequest("GET", "b.s3.amazonaws.com", "/k", {}, "UNSIGNED-PAYLOAD")
    for secret in ("one", "other", "one"):
        for region in ("us-east-1", "eu-central-1"):
            for day in (1, 2, 1):
                keys, seconds = SigningKeys("AKID", secret), day * 86_400
                request_of_botocore = AWSRequest("GET", "https://b.s3.amazonaws.com/k")
                request_of_botocore.context["client_config"] = mock.Mock(
                    s3={"payload_signing_enabled": False}
                )
                at = dt.datetime.fromtimestamp(seconds, dt.UTC)
                ours = sign(request, keys, region, timestamp=timestamp_of(seconds))
                assert ours["Authorization"] == theirs(request_of_botocore, keys, region, at)
