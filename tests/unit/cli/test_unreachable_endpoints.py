"""Endpoints that cannot be used: the cause, the endpoint and what to change, without a wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sluice.cli.exits import Exit
from tests.support.broken_endpoints import (
    LOOPBACK,
    closed_port,
    http_server,
    read_only_s3,
    self_signed,
    silent_server,
)
from tests.unit.cli.conftest import Answer, Call, caller

SECONDS_MAX = 3.0
SETTING = (
    "Check the endpoint (--endpoint-url, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile)"
)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "x")
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.fixture
def sluice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    call = caller(monkeypatch, capsys)

    def timed(*arguments: str) -> Answer:
        began = time.monotonic()
        answer = call(*arguments, "s3://bucket/team", "--state", "state")
        assert time.monotonic() - began < SECONDS_MAX
        return answer

    return timed


@pytest.fixture(params=["status", "index", "log", "verify"])
def command(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def of_stack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    call = caller(monkeypatch, capsys)
    return lambda *more: call("status", "s3://bucket/team", "--stack", "sluice", *more)


def failed(answer: Answer, *parts: str) -> None:
    assert answer.code == Exit.FAILED
    text = answer.out + answer.err
    assert len(answer.err.splitlines()) <= 1
    for part in parts:
        assert part in text


def test_a_refused_connection(sluice: Call, command: str) -> None:
    url = f"http://{LOOPBACK}:{closed_port()}"
    answer = sluice(command, "--endpoint-url", url)
    failed(answer, f"connection refused: no server listens at {url}. {SETTING}")


def test_an_unknown_host(sluice: Call, command: str) -> None:
    answer = sluice(command, "--endpoint-url", "http://no-such-host.invalid")
    failed(answer, "cannot resolve the host no-such-host.invalid", SETTING)


def test_a_region_that_does_not_exist_is_named_as_such(sluice: Call) -> None:
    failed(
        sluice("status", "--region", "no-such-region.invalid"),
        "cannot resolve the host",
        "Check the region (--region or AWS_REGION)",
    )


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path)


@pytest.fixture
def tls_port(certificate: Path) -> Iterator[int]:
    with http_server(read_only_s3(403, "AccessDenied"), certificate) as port:
        yield port


def test_an_unknown_certificate_authority(sluice: Call, command: str, tls_port: int) -> None:
    url = f"https://{LOOPBACK}:{tls_port}"
    answer = sluice(command, "--endpoint-url", url)
    failed(answer, f"the certificate of {url} is not trusted: self-signed", "AWS_CA_BUNDLE")


def test_a_certificate_authority_that_is_named_is_trusted(
    sluice: Call, tls_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    answer = sluice("status", "--endpoint-url", f"https://{LOOPBACK}:{tls_port}")
    assert answer.code == Exit.ISSUES_FOUND
    assert "the state is empty" in answer.out


def test_a_missing_file_of_certificates_is_named_with_its_variable(
    sluice: Call, command: str, tls_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", missing)
    answer = sluice(command, "--endpoint-url", f"https://{LOOPBACK}:{tls_port}")
    assert answer.code == Exit.USAGE_ERROR
    assert f"the CA bundle {missing} does not exist" in answer.err
    assert "correct the variable AWS_CA_BUNDLE" in answer.err


def test_a_missing_file_of_certificates_of_a_profile_is_named(
    sluice: Call, tls_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        "[profile home]\nregion = us-east-1\nca_bundle = /missing.pem\n"
        "aws_access_key_id = a\naws_secret_access_key = b\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    url = f"https://{LOOPBACK}:{tls_port}"
    answer = sluice("status", "--profile", "home", "--endpoint-url", url)
    assert answer.code == Exit.USAGE_ERROR
    assert "the CA bundle /missing.pem does not exist" in answer.err
    assert "correct ca_bundle of the profile" in answer.err


def test_a_file_without_certificates(
    sluice: Call, tls_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "no.pem").write_text("nothing of the kind\n")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "no.pem"))
    answer = sluice("status", "--endpoint-url", f"https://{LOOPBACK}:{tls_port}")
    failed(answer, "the CA bundle for https://", "AWS_CA_BUNDLE")


def answers_badly() -> AbstractContextManager[int]:
    return http_server(read_only_s3(403, "AccessDenied"))


@pytest.mark.parametrize("server", [silent_server, answers_badly])
def test_https_on_a_port_of_http(sluice: Call, command: str, server: object) -> None:
    assert callable(server)
    with server() as port:
        answer = sluice(command, "--endpoint-url", f"https://{LOOPBACK}:{port}")
    failed(
        answer,
        f"https://{LOOPBACK}:{port} does not use TLS: use http://{LOOPBACK}:{port}. {SETTING}",
    )


def test_http_on_a_port_of_https(sluice: Call, command: str, tls_port: int) -> None:
    answer = sluice(command, "--endpoint-url", f"http://{LOOPBACK}:{tls_port}")
    failed(answer, f"http://{LOOPBACK}:{tls_port} uses TLS: use https://{LOOPBACK}:{tls_port}.")


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (404, "text/html", b"<html>Not here</html>"),
        (403, "text/html", b"<html>Not for you</html>"),
        (200, "text/html", b"<!doctype html><p>Hello"),
        (200, "text/html", b"<html><body>Hello</body></html>"),
        (200, "application/json", b"{}"),
        (405, "text/plain", b"Method Not Allowed"),
    ],
)
def test_an_endpoint_that_is_no_s3(
    sluice: Call, command: str, status: int, content_type: str, body: bytes
) -> None:
    with http_server(lambda _method, _path: (status, content_type, body)) as port:
        answer = sluice(command, "--endpoint-url", f"http://{LOOPBACK}:{port}")
    assert answer.code == Exit.FAILED
    text = answer.out + answer.err
    assert f"http://{LOOPBACK}:{port}" in text
    assert "Traceback" not in text


def test_an_s3_without_conditional_writes_as_swift(sluice: Call) -> None:
    with http_server(read_only_s3(501, "NotImplemented")) as port:
        answer = sluice("index", "--create", "--endpoint-url", f"http://{LOOPBACK}:{port}")
    failed(
        answer,
        "status 501 NotImplemented",
        "this S3 server does not support an operation or a header that sluice needs",
        f"http://{LOOPBACK}:{port}",
    )


def test_credentials_that_may_only_read(sluice: Call) -> None:
    with http_server(read_only_s3(403, "AccessDenied")) as port:
        answer = sluice("index", "--create", "--endpoint-url", f"http://{LOOPBACK}:{port}")
    failed(
        answer,
        "status 403 AccessDenied",
        "the credentials need the permission s3:PutObject",
        f"(endpoint http://{LOOPBACK}:{port})",
    )
    assert "refuses its headers" not in answer.err


def test_the_services_of_a_stack_are_not_waited_for_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tls_port: int
) -> None:
    call = of_stack(monkeypatch, capsys)
    nowhere = f"http://{LOOPBACK}:{closed_port()}"
    for url, reason in (
        (nowhere, f"no server listens at {nowhere}"),
        (f"https://{LOOPBACK}:{tls_port}", "is not trusted"),
        ("http://no-such-host.invalid", "cannot resolve the host no-such-host.invalid"),
    ):
        began = time.monotonic()
        failed(call("--endpoint-url", url), "DescribeStacks sluice: ", reason)
        assert time.monotonic() - began < SECONDS_MAX
    with http_server(lambda _method, _path: (501, "text/html", b"<p>no")) as port:
        failed(call("--endpoint-url", f"http://{LOOPBACK}:{port}"), "is not one of AWS")
