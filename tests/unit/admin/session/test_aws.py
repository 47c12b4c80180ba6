"""Where settings come from: what is given, then variables, then the files of the AWS CLI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluice.admin.session.aws import Aws
from sluice.errors import Misconfigured

CONFIG = """
[profile plain]
region = eu-west-1
aws_access_key_id = of-the-profile
aws_secret_access_key = secret

[profile minio]
region = us-east-1
ca_bundle = /of/the/profile.pem
endpoint_url = http://127.0.0.1:1/
aws_access_key_id = of-the-profile
aws_secret_access_key = secret

[profile by-service]
region = us-east-1
aws_access_key_id = of-the-profile
aws_secret_access_key = secret
services = local

[services local]
s3 =
  endpoint_url = http://127.0.0.1:2

[profile single-sign-on]
region = us-east-1
sso_session = us
sso_account_id = 123456789012
sso_role_name = reader

[sso-session us]
sso_region = us-east-1
sso_start_url = https://127.0.0.1:1/start

[profile external]
region = us-east-1
credential_process = {process}
"""
EXTERNAL = """echo '{"Version": 1, "AccessKeyId": "from-a-process", "SecretAccessKey": "secret"}'"""


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    process = tmp_path / "credentials.sh"
    process.write_text(f"#!/bin/sh\n{EXTERNAL}\n", encoding="utf-8")
    process.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(CONFIG.format(process=process), encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_REGION", raising=False)


def _url(aws: Aws) -> str:
    return aws._s3._endpoint.bucket_url("b")


def _key(aws: Aws) -> Any:
    return aws._s3._credentials().get_frozen_credentials().access_key


def test_variables_are_enough() -> None:
    assert _url(Aws()) == "https://b.s3.us-east-1.amazonaws.com"
    assert _key(Aws()) == "testing"


@pytest.fixture
def _no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    def refuse(_aws: Aws) -> None:
        raise AssertionError("botocore's session was asked")

    monkeypatch.setattr(Aws, "_session", property(refuse))


@pytest.mark.usefixtures("_no_files")
def test_where_there_are_no_files_variables_are_all_that_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _url(Aws()) == "https://b.s3.us-east-1.amazonaws.com"
    assert _key(Aws()) == "testing"
    assert _url(Aws(region="eu-west-1")) == "https://b.s3.eu-west-1.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1/")
    assert _url(Aws()) == "http://127.0.0.1:1/b"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2")
    assert _url(Aws()) == "http://127.0.0.1:2/b"
    assert _url(Aws(endpoint_url="http://127.0.0.1:3/")) == "http://127.0.0.1:3/b"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    assert _url(Aws()) == "https://b.s3.us-west-2.amazonaws.com"


@pytest.mark.usefixtures("_no_files")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_PROFILE", "plain"),
        ("AWS_DEFAULT_PROFILE", "plain"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ],
)
def test_what_variables_do_not_say_is_asked_of_botocore(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(AssertionError, match="session was asked"):
        _url(Aws())


def test_a_profile_brings_region_endpoint_and_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert _url(Aws(profile="plain")) == "https://b.s3.eu-west-1.amazonaws.com"
    assert _url(Aws(profile="minio")) == "http://127.0.0.1:1/b"
    assert _url(Aws(profile="by-service")) == "http://127.0.0.1:2/b"
    assert _key(Aws(profile="minio")) == "of-the-profile"


def test_a_profile_says_whom_to_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    trusted: list[str | None] = []

    def make(*_settings: Any, ca_bundle: str | None) -> None:
        trusted.append(ca_bundle)

    monkeypatch.setattr("sluice.storage.s3_client.make_s3_client", make)
    for profile in ("minio", "plain"):
        Aws(profile=profile).bucket("b")
    assert trusted == ["/of/the/profile.pem", None]


def test_a_profile_may_be_named_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_PROFILE", "plain")
    assert _url(Aws()) == "https://b.s3.eu-west-1.amazonaws.com"


def test_credentials_may_come_from_a_process() -> None:
    assert _key(Aws(profile="external")) == "from-a-process"


def test_a_login_that_has_expired_is_told_of_at_once() -> None:
    with pytest.raises(Misconfigured, match=r"no AWS credentials: .*SSO"):
        Aws(profile="single-sign-on").bucket("b")


def test_what_is_given_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert _url(Aws()) == "https://b.s3.eu-north-1.amazonaws.com"
    assert _url(Aws(region="eu-south-1")) == "https://b.s3.eu-south-1.amazonaws.com"
    given = Aws(profile="minio", endpoint_url="http://127.0.0.1:3/", path_style=False)
    assert _url(given) == "http://b.127.0.0.1:3"


def test_endpoints_of_variables_and_files_can_be_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:4")
    assert _url(Aws()) == "http://127.0.0.1:4/b"
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert _url(Aws()) == "https://b.s3.us-east-1.amazonaws.com"


def test_a_profile_that_is_not_there_is_named() -> None:
    with pytest.raises(Misconfigured, match="nobody"):
        Aws(profile="nobody").bucket("b")


def test_without_a_region_it_is_said_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(Misconfigured, match="no region: set --region or AWS_REGION"):
        Aws().bucket("b")


def test_without_credentials_it_is_said_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(Misconfigured, match="no AWS credentials: set --profile"):
        Aws().bucket("b")


def test_an_endpoint_is_that_of_all_services() -> None:
    aws = Aws(endpoint_url="http://127.0.0.1:5")
    clients = (aws.sqs, aws.cloudformation, aws.functions)
    assert {client.meta.endpoint_url for client in clients} == {"http://127.0.0.1:5"}


@pytest.mark.parametrize(
    ("style", "given", "url"),
    [
        ("path", None, "https://s3.eu-west-1.amazonaws.com/b"),
        ("virtual", None, "https://b.s3.eu-west-1.amazonaws.com"),
        ("auto", None, "https://b.s3.eu-west-1.amazonaws.com"),
        ("path", False, "https://b.s3.eu-west-1.amazonaws.com"),
        ("virtual", True, "https://s3.eu-west-1.amazonaws.com/b"),
    ],
)
def test_a_profile_says_where_the_bucket_stands_unless_that_is_given(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    style: str,
    given: bool | None,  # noqa: FBT001 - a parameter of the test
    url: str,
) -> None:
    config = tmp_path / "styles"
    config.write_text(
        f"[profile styled]\nregion = eu-west-1\ns3 =\n  addressing_style = {style}\n"
        "aws_access_key_id = a\naws_secret_access_key = b\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert (
        Aws(profile="styled", region="eu-west-1", path_style=given)._endpoint.bucket_url("b") == url
    )


def test_a_profile_may_have_the_bucket_in_the_host_of_another_s3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "styles"
    config.write_text(
        "[default]\nregion = r\nendpoint_url = http://s3.test\ns3 =\n  addressing_style = virtual\n"
        "aws_access_key_id = a\naws_secret_access_key = b\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    assert Aws()._endpoint.bucket_url("b") == "http://b.s3.test"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:4691",
        "localhost",
        "ftp://x",
        "http://",
        "http://x:port",
        "https:/x",
        "http://[::1",
    ],
)
@pytest.mark.parametrize("variable", [None, "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_what_is_no_url_is_refused_with_the_settings_that_it_may_come_from(
    monkeypatch: pytest.MonkeyPatch, url: str, variable: str | None
) -> None:
    if variable:
        monkeypatch.setenv(variable, url)
    aws = Aws(profile="plain", endpoint_url=None if variable else url)
    with pytest.raises(
        Misconfigured,
        match=r"is not the URL of an S3 endpoint, for example http://127\.0\.0\.1:9000",
    ):
        aws.bucket("b")
    if variable is None:
        with pytest.raises(Misconfigured, match="is not the URL of an S3 endpoint"):
            _ = aws.cloudformation
