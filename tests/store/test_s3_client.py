"""What a request to S3 looks like on the wire, and where it goes."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpchecksum import Crc32Checksum

from sluice.errors import Misconfigured
from sluice.storage.s3_client import (
    Endpoint,
    S3Client,
    S3Request,
    crc32_checksum,
    find_credentials,
    make_s3_client,
)
from tests.support.scripted_aws import Answer, Script, error, respond

KEYS = Credentials("AKID", "secret", "token")


def test_on_aws_a_bucket_is_part_of_the_host() -> None:
    assert Endpoint("eu-central-1").bucket_url("b") == "https://b.s3.eu-central-1.amazonaws.com"
    assert Endpoint("cn-north-1").bucket_url("b") == "https://b.s3.cn-north-1.amazonaws.com.cn"


def test_a_bucket_with_dots_is_part_of_the_path_because_no_certificate_is_for_it() -> None:
    assert Endpoint("us-east-1").bucket_url("a.b") == "https://s3.us-east-1.amazonaws.com/a.b"


def test_on_another_s3_a_bucket_is_part_of_the_path() -> None:
    assert Endpoint("us-east-1", "http://127.0.0.1:9").bucket_url("b") == "http://127.0.0.1:9/b"


def test_where_a_bucket_stands_can_be_said() -> None:
    local = "http://127.0.0.1:9"
    assert Endpoint("us-east-1", local, path_style=False).bucket_url("b") == "http://b.127.0.0.1:9"
    assert Endpoint("us-east-1", local, path_style=True).bucket_url("b") == "http://127.0.0.1:9/b"
    on_aws = Endpoint("us-east-1", path_style=True)
    assert on_aws.bucket_url("b") == "https://s3.us-east-1.amazonaws.com/b"


def test_credentials_that_are_given_are_asked_anew_for_each_request() -> None:
    class Renewing(Credentials):
        asked = 0

        def get_frozen_credentials(self) -> Any:
            self.asked += 1
            return super().get_frozen_credentials()

    found = Renewing("AKID", "secret")
    client = make_s3_client(Endpoint("us-east-1", "http://127.0.0.1:9"), found)
    Script(Answer(), Answer()).attach(client)
    for _ in range(2):
        client.call(S3Request("HeadObject", "HEAD", "b", "k"))
    assert found.asked == 2


@pytest.mark.parametrize(
    ("env", "endpoint"),
    [
        ({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}, Endpoint("a")),
        ({"AWS_DEFAULT_REGION": "b"}, Endpoint("b")),
        ({"AWS_REGION": "a", "AWS_ENDPOINT_URL": ""}, Endpoint("a")),
        ({"AWS_REGION": "a", "AWS_ENDPOINT_URL": "http://x/"}, Endpoint("a", "http://x")),
        (
            {"AWS_REGION": "a", "AWS_ENDPOINT_URL": "http://x", "AWS_ENDPOINT_URL_S3": "http://y"},
            Endpoint("a", "http://y"),
        ),
    ],
)
def test_the_environment_says_where_s3_is(env: dict[str, str], endpoint: Endpoint) -> None:
    assert Endpoint.from_env(env) == endpoint


def test_without_a_region_nothing_is_guessed() -> None:
    with pytest.raises(Misconfigured, match="neither AWS_REGION nor AWS_DEFAULT_REGION is set"):
        Endpoint.from_env({})


def test_without_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    with pytest.raises(Misconfigured, match="no AWS credentials"):
        find_credentials()


def test_a_client_of_the_environment_needs_nothing_else() -> None:
    assert isinstance(make_s3_client(), S3Client)


AWS = Endpoint("us-east-1")


def sent(request: S3Request, endpoint: Endpoint = AWS) -> tuple[str, dict[str, str]]:
    """What one request amounts to on the wire: its URL and its headers."""
    script = Script(Answer())
    client = S3Client(endpoint, lambda: KEYS, lambda _request: pytest.fail("sent"))
    script.attach(client)
    client.call(request)
    (one,) = script.requests
    return one.url, dict(one.headers.items())


def test_a_key_stands_in_the_url_as_s3_decodes_it() -> None:
    url, _ = sent(S3Request("GetObject", "GET", "b", "a b/+%2F~é!_x"))
    assert url == "https://b.s3.us-east-1.amazonaws.com/a%20b/%2B%252F~%C3%A9%21_x"


def test_a_blank_in_a_query_is_no_plus_sign() -> None:
    url, _ = sent(S3Request("ListObjectsV2", "GET", "b", query={"prefix": "a b+c", "delete": ""}))
    assert url == "https://b.s3.us-east-1.amazonaws.com/?prefix=a%20b%2Bc&delete="


ENDPOINTS = [
    pytest.param(Endpoint("eu-central-1"), "channel", id="aws"),
    pytest.param(Endpoint("eu-central-1"), "my.channel", id="aws-dotted"),
    pytest.param(Endpoint("eu-central-1", path_style=True), "channel", id="aws-path"),
    pytest.param(Endpoint("us-east-1", "http://127.0.0.1:9"), "channel", id="other"),
    pytest.param(Endpoint("us-east-1", "http://127.0.0.1:9"), "my.channel", id="other-dotted"),
    pytest.param(Endpoint("us-east-1", "http://s3", path_style=False), "channel", id="other-host"),
    pytest.param(Endpoint("us-east-1", "http://s3/below"), "channel", id="other-below-a-path"),
]


def url_of_boto3(endpoint: Endpoint, operation: str, **arguments: Any) -> str:
    """The URL that boto3 would send an operation to."""
    urls: list[str] = []

    def stop(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        urls.append(request.url)
        return respond(error(403, "AccessDenied"), request)

    style = {None: "auto", True: "path", False: "virtual"}[endpoint.path_style]
    config = Config(s3={"addressing_style": style})  # type: ignore[arg-type] # one of three words
    client = boto3.client(
        "s3", endpoint_url=endpoint.url, region_name=endpoint.region, config=config
    )
    client.meta.events.register("before-send.s3", stop)  # type: ignore[arg-type] # may answer
    with pytest.raises(ClientError):
        getattr(client, operation)(**arguments)
    return urls[0]


@pytest.mark.parametrize(("endpoint", "bucket"), ENDPOINTS)
def test_a_bucket_stands_in_the_url_as_boto3_writes_it(endpoint: Endpoint, bucket: str) -> None:
    """One server refuses the signature of ``/bucket/?…``; none that of ``/bucket?…``."""
    listing = S3Request("ListObjectsV2", "GET", bucket, query={"list-type": "2", "prefix": "a b/"})
    theirs = url_of_boto3(endpoint, "list_objects_v2", Bucket=bucket, Prefix="a b/")
    url, _ = sent(listing, endpoint)
    assert url.partition("?")[0] == theirs.partition("?")[0]
    deletion = S3Request("DeleteObjects", "POST", bucket, query={"delete": ""})
    theirs = url_of_boto3(
        endpoint, "delete_objects", Bucket=bucket, Delete={"Objects": [{"Key": "k"}]}
    )
    url, _ = sent(deletion, endpoint)
    assert url.partition("?")[0] == theirs.partition("?")[0]


@pytest.mark.parametrize(("endpoint", "bucket"), ENDPOINTS)
def test_a_key_stands_in_the_url_as_boto3_writes_it(endpoint: Endpoint, bucket: str) -> None:
    theirs = url_of_boto3(endpoint, "get_object", Bucket=bucket, Key="a b/+%2F~é!_x")
    url, _ = sent(S3Request("GetObject", "GET", bucket, "a b/+%2F~é!_x"), endpoint)
    assert url == theirs


def test_a_request_is_signed_with_all_that_it_says() -> None:
    _, headers = sent(
        S3Request("PutObject", "PUT", "b", "k", headers={"If-Match": '"e"', "a": "b"}, body=b"body")
    )
    authorization = headers["Authorization"]
    assert re.search(r"Credential=AKID/\d{8}/us-east-1/s3/aws4_request", authorization)
    signed = re.search(r"SignedHeaders=([^,]+),", authorization)
    assert signed
    assert signed[1].split(";") == [
        *("a", "host", "if-match", "x-amz-content-sha256"),
        *("x-amz-date", "x-amz-security-token"),
    ]
    assert headers["X-Amz-Security-Token"] == "token"


def test_a_checksum_is_written_as_botocore_writes_it() -> None:
    theirs = Crc32Checksum()
    theirs.update(b"body")
    assert crc32_checksum(b"body") == theirs.b64digest()


TLS = Endpoint("us-east-1", "https://s3.example.com")
PLAIN = Endpoint("us-east-1", "http://127.0.0.1:9")


@pytest.mark.parametrize("body", [b"body", memoryview(b"a body")[2:], b""])
@pytest.mark.parametrize(
    ("endpoint", "sign_payload", "is_signed"),
    [
        (AWS, False, False),
        (AWS, True, True),
        (TLS, False, False),
        (TLS, True, True),
        (PLAIN, False, True),
        (PLAIN, True, True),
    ],
)
def test_a_signature_covers_the_body_over_plain_http_and_where_it_has_to(
    endpoint: Endpoint,
    body: bytes | memoryview,
    *,
    sign_payload: bool,
    is_signed: bool,
) -> None:
    request = S3Request("PutObject", "PUT", "b", "k", body=body, sign_payload=sign_payload)
    _, headers = sent(request, endpoint)
    digest = sha256(body).hexdigest() if is_signed else "UNSIGNED-PAYLOAD"
    assert headers["X-Amz-Content-SHA256"] == digest
    assert headers["Content-Length"] == str(len(body))
