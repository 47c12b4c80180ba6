"""What a request to S3 looks like on the wire, and where it goes."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.httpchecksum import Crc32Checksum
from botocore.httpsession import URLLib3Session

from sluice.errors import Misconfigured
from sluice.storage.s3_client import (
    Endpoint,
    S3Client,
    S3Request,
    crc32_checksum,
    find_credentials,
    make_s3_client,
)
from tests.support.scripted_aws import Answer, Script

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


def sent(request: S3Request) -> tuple[str, dict[str, str]]:
    """What one request amounts to on the wire: its URL and its headers."""
    script = Script(Answer())
    client = S3Client(Endpoint("us-east-1"), lambda: KEYS, lambda _request: pytest.fail("sent"))
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


def test_a_body_has_no_part_in_the_signature() -> None:
    _, headers = sent(S3Request("PutObject", "PUT", "b", "k", body=b"body"))
    assert headers["X-Amz-Content-SHA256"] == "UNSIGNED-PAYLOAD"
    assert headers["Content-Length"] == "4"


def test_a_small_body_does_not_wait_for_the_acknowledgement_of_its_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: list[list[tuple[int, int, int]]] = []
    plain = URLLib3Session.__init__

    def note(session: URLLib3Session, **arguments: Any) -> None:
        options.append(arguments["socket_options"])
        plain(session, **arguments)

    monkeypatch.setattr(URLLib3Session, "__init__", note)
    make_s3_client()
    assert options == [[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]]
