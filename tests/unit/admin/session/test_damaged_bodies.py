"""A body that is damaged on its way to a server is refused, whatever the server checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.credentials import Credentials

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.errors import Unavailable
from sluice.limits import MIB
from sluice.storage.object_headers import PRIVATE_JSON_HEADERS
from sluice.storage.object_store import ObjectStore
from sluice.storage.s3_client import Endpoint, Send, make_s3_client
from testkit.s3_server.kinds import REGION, USABLE, with_request_hook
from testkit.s3_server.process import S3Server

SCHEMES = ["http", "https"]
BUCKETS = ("damaged", "damaged-state")
UNSIGNED = "UNSIGNED-PAYLOAD"


class Wire:
    """What lies between a client and its server: it may damage bodies, and it takes TLS off."""

    def __init__(self) -> None:
        self.damages = False
        self.digests: list[str] = []
        """What the signatures say of the bodies that were sent."""

    def __call__(self, request: AWSPreparedRequest, send: Send) -> AWSResponse:
        request.url = request.url.replace("https:", "http:", 1)
        if isinstance(body := request.body, bytes | memoryview) and body:
            self.digests.append(request.headers["X-Amz-Content-SHA256"])
            if self.damages:
                request.body = bytes([body[0] ^ 1]) + bytes(body[1:])
        return send(request)


def open_channel(server: S3Server, scheme: str, wire: Wire) -> Channel:
    """A channel on a server, as a command that knows nothing opens it."""
    endpoint = Endpoint(REGION, server.endpoint.replace("http:", f"{scheme}:"))
    client = with_request_hook(make_s3_client(endpoint, Credentials("test", "test")), wire)
    aws = Aws(endpoint_url=endpoint.url, region=REGION)
    vars(aws).update(_s3=client, _endpoint=endpoint)
    bucket, state = BUCKETS
    return Opener(aws, state=state).channel(Address(bucket, "team"))


@pytest.fixture
def buckets(running: Mapping[str, S3Server]) -> Mapping[str, S3Server]:
    """The servers, with empty buckets."""
    for kind in USABLE:
        for name in BUCKETS:
            running[kind].drop(name)
            running[kind].create(name)
    return running


def put(store: ObjectStore) -> None:
    store.put("k", b"body", PRIVATE_JSON_HEADERS)


def put_if(store: ObjectStore) -> None:
    store.put_if("k", b"body", PRIVATE_JSON_HEADERS, expected=None)


def put_in_parts(store: ObjectStore) -> None:
    store.put_if("k", bytes(6 * MIB), PRIVATE_JSON_HEADERS, expected=None)


def delete(store: ObjectStore) -> None:
    store.delete(["kept"])


WRITES: Sequence[Callable[[ObjectStore], None]] = [put, put_if, put_in_parts, delete]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.storage.s3_conditional_put.SINGLE_PUT_BYTES_MAX", 5 * MIB)
    monkeypatch.setattr("sluice.storage.part_plan.PART_BYTES", 5 * MIB)


@pytest.mark.parametrize("kind", USABLE)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("write", WRITES)
def test_a_body_that_is_damaged_on_the_way_is_refused(
    buckets: Mapping[str, S3Server],
    kind: str,
    scheme: str,
    write: Callable[[ObjectStore], None],
) -> None:
    """Once the server is known, and before."""
    wire = Wire()
    channel = open_channel(buckets[kind], scheme, wire)
    for is_known in (False, True):
        wire.damages = False
        channel.state.put("kept", b"as it was", PRIVATE_JSON_HEADERS)
        if is_known:
            assert channel.state.put_if("known", b"1", PRIVATE_JSON_HEADERS, expected=None)
        wire.damages = True
        with pytest.raises(Unavailable, match="status 400"):
            write(channel.state)
        keys = [info.key for info in channel.state.list("")]
        assert "k" not in keys
        stored = channel.state.get("kept")
        assert stored
        assert stored.body == b"as it was"


@pytest.mark.parametrize("kind", USABLE)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_body_is_hashed_for_the_signature_only_where_nothing_else_protects_it(
    buckets: Mapping[str, S3Server], kind: str, scheme: str
) -> None:
    """Hashing costs more than all else about a large body."""
    wire = Wire()
    channel = open_channel(buckets[kind], scheme, wire)
    assert channel.state.put_if("known", b"1", PRIVATE_JSON_HEADERS, expected=None)
    assert UNSIGNED not in wire.digests[:-1]  # the trials, and what they found out
    for is_opened_again in (False, True):
        if is_opened_again:
            channel = open_channel(buckets[kind], scheme, wire)
            put(channel.state)
            assert wire.digests[-1] != UNSIGNED  # nobody has read the record yet
            assert channel.state.put_if("again", b"1", PRIVATE_JSON_HEADERS, expected=None)
        wire.digests.clear()
        put(channel.state)
        put_in_parts(channel.state)
        delete(channel.state)
        is_trusted = scheme == "https" and USABLE[kind].verifies_checksums
        assert {digest == UNSIGNED for digest in wire.digests} == {is_trusted}
