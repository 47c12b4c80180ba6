"""Requests of a real client that fail on their way, with its resending around them.

What does not fail reaches moto.  ``scripted_aws`` answers everything itself; this is for whole
functions, of which one operation meets a bad day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from sluice.storage.s3_client import S3Client
from tests.support.scripted_aws import Answer, error, respond

URL = "https://aws.test"
SLOW_DOWN = error(503, "SlowDown")
CONNECT_TIMEOUT = ConnectTimeoutError(endpoint_url=URL)
READ_TIMEOUT = ReadTimeoutError(endpoint_url=URL)

Matches = Callable[[str], bool]
"""Tells from a request's URL whether it is meant."""


def anything(_url: str) -> bool:
    """Match every request."""
    return True


@contextmanager
def failing(
    client: Any,
    operation: str,
    answer: Answer | Exception,
    *,
    times: int | None = None,
    landed: bool = False,
    where: Matches = anything,
) -> Iterator[list[str]]:
    """Answer ``operation`` (``s3.PutObject``) with ``answer``; yields the URLs it was about.

    ``times`` counts the requests as they are sent, each resending included; ``None`` means all of
    them.  ``landed``: what was asked for is done all the same, only the answer is lost.
    """
    met: list[str] = []
    left = math.inf if times is None else times

    def fails(asked: str, sent: AWSPreparedRequest) -> bool:
        nonlocal left
        if asked != operation or not left or not where(sent.url):
            return False
        left -= 1
        met.append(sent.url)
        return True

    if isinstance(client, S3Client):
        send = client.send

        def send_or_fail(sent: Any) -> AWSResponse:
            if not fails(f"s3.{sent.context['operation']}", sent):
                return send(sent)
            if landed:
                send(sent)
            return respond(answer, sent)

        with mock.patch.object(client, "send", send_or_fail):
            yield met
        return

    events = client.meta.events
    emit = events.emit

    def emit_or_fail(event: str, **about: Any) -> Any:
        kind, _, asked = event.partition(".")
        if kind != "before-send" or not fails(asked, about["request"]):
            return emit(event, **about)
        if landed:
            emit(event, **about)
        return [(failing, respond(answer, about["request"]))]

    # Not a handler of its own: botocore calls all of them, so moto would still do what was asked.
    with mock.patch.object(events, "emit", emit_or_fail):
        yield met
