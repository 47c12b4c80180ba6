"""What servers of others have to do with writes, as sluice sends them; testkit's: tests/unit."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from sluice.errors import Unavailable
from sluice.limits import MIB
from sluice.storage.object_headers import PRIVATE_JSON_HEADERS
from sluice.storage.object_store import ETag, ObjectStore
from sluice.storage.s3_client import Send, make_s3_client
from sluice.storage.s3_store import S3Store
from testkit.s3_server.kinds import with_request_hook
from tests.servers.conftest import Server

WRITERS, ROUNDS = 8, 5


@pytest.fixture
def bucket(server: Server) -> str:
    name = f"writes-{uuid.uuid4().hex[:8]}"
    server.client.create_bucket(Bucket=name)
    return name


def put(store: ObjectStore) -> None:
    store.put("k", b"body", PRIVATE_JSON_HEADERS)


def put_if(store: ObjectStore) -> None:
    store.put_if("k", b"body", PRIVATE_JSON_HEADERS, expected=None)


def put_large(store: ObjectStore) -> None:
    store.put_if("k", bytes(6 * MIB), PRIVATE_JSON_HEADERS, expected=None)


def delete(store: ObjectStore) -> None:
    store.delete(["kept"])


WRITES: Sequence[Callable[[ObjectStore], None]] = [put, put_if, put_large, delete]


@pytest.mark.parametrize("write", WRITES)
def test_a_body_that_is_damaged_on_the_way_is_refused(
    server: Server,
    bucket: str,
    write: Callable[[ObjectStore], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over plain http; over TLS see tests/unit/admin/session/test_damaged_bodies.py."""
    monkeypatch.setattr("sluice.storage.s3_conditional_put.SINGLE_PUT_BYTES_MAX", 5 * MIB)
    monkeypatch.setattr("sluice.storage.part_plan.PART_BYTES", 5 * MIB)

    def damage(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        if isinstance(body := request.body, bytes | memoryview) and body:
            request.body = bytes(body[:-1]) + bytes([body[-1] ^ 1])
        return send(request)

    writes = server.expected.writes
    sound = S3Store(make_s3_client(), bucket, lambda: writes)
    sound.put("kept", b"as it was", PRIVATE_JSON_HEADERS)
    damaged = S3Store(with_request_hook(make_s3_client(), damage), bucket, lambda: writes)
    with pytest.raises(Unavailable, match="status 400"):
        write(damaged)
    assert [info.key for info in sound.list("")] == ["kept"]


@pytest.mark.parametrize("is_first", [True, False], ids=["creation", "swap"])
def test_of_many_who_write_at_once_at_most_one_wins(
    server: Server, bucket: str, *, is_first: bool
) -> None:
    """And what is there afterwards is what the winner wrote."""
    store = S3Store(make_s3_client(), bucket, lambda: server.expected.writes)

    def write(key: str, expected: ETag | None, number: int) -> bytes | None:
        body = b"%s by %d" % (key.encode(), number)
        etag = store.put_if(key, body, PRIVATE_JSON_HEADERS, expected=expected)
        return body if etag else None

    with ThreadPoolExecutor(WRITERS) as pool:
        for key in map(str, range(ROUNDS)):
            first = store.put_if(key, b"first", PRIVATE_JSON_HEADERS, expected=None)
            if is_first:
                store.delete([key])
            expected = None if is_first else first
            answers = pool.map(write, [key] * WRITERS, [expected] * WRITERS, range(WRITERS))
            won = [body for body in answers if body]
            stored = store.get(key)
            assert stored
            assert len(won) <= 1  # no answer may be lost, for a retry meets itself
            assert not won or stored.body == won[0]
            assert stored.body.startswith(b"%s by " % key.encode())
