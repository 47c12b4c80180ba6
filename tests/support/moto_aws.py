"""moto in the place of AWS, for boto3 and for sluice's own S3 client.

To start moto takes longer than most tests, so it is started once per module and reset after each
test: see the fixture ``moto``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from moto import mock_aws
from moto.core.models import botocore_stubber
from moto.moto_api._internal.models import moto_api_backend

from sluice.storage.http_connections import HttpConnections

_send_over_network = URLLib3Session.send
_send_over_own_connections = HttpConnections.send


@contextmanager
def moto_started() -> Iterator[None]:
    """Start moto, which answers nothing yet; requests go over the network."""
    # The fixture of every test sets credentials of its own.
    with (
        mock_aws(config={"core": {"mock_credentials": False}}),
        mock.patch.object(URLLib3Session, "send", _send),
        mock.patch.object(HttpConnections, "send", _send_of_own),
        # What is begun is sent when its response is wanted.
        mock.patch.object(HttpConnections, "can_begin", property(lambda _self: False)),
    ):
        botocore_stubber.enabled = False
        yield


@contextmanager
def moto_aws() -> Iterator[None]:
    """Have moto, which was started, answer every request, from an account that has nothing."""
    botocore_stubber.enabled = True
    try:
        yield
    finally:
        botocore_stubber.enabled = False
        moto_api_backend.reset()


def _send(session: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
    return _answer(request) or _send_over_network(session, request)


def _send_of_own(connections: HttpConnections, request: AWSPreparedRequest) -> AWSResponse:
    return _answer(request) or _send_over_own_connections(connections, request)


def _answer(request: AWSPreparedRequest) -> AWSResponse | None:
    if not botocore_stubber.enabled:
        return None
    if isinstance(request.body, memoryview):  # which the network would take
        request.body = bytes(request.body)
    response = botocore_stubber("before-send", request=request)
    assert isinstance(response, AWSResponse), f"moto knows nothing of {request.url}"
    return response
