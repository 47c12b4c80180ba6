"""moto in the place of AWS, for boto3 and for sluice's own S3 client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from moto import mock_aws
from moto.core.models import botocore_stubber


@contextmanager
def moto_aws() -> Iterator[None]:
    """Answer everything that would go to AWS meanwhile."""
    with mock_aws(), mock.patch.object(URLLib3Session, "send", _send):
        yield


def _send(_session: Any, request: AWSPreparedRequest) -> AWSResponse:
    if isinstance(request.body, memoryview):  # which the network would take
        request.body = bytes(request.body)
    response = botocore_stubber("before-send", request=request)
    assert isinstance(response, AWSResponse), f"moto knows nothing of {request.url}"
    return response
