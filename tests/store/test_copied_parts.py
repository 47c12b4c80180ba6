"""S3 copies what a large object shares with its last version, if it proves what it copied."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from sluice.limits import COPIED_OBJECT_BYTES_MIN, MIB, PART_BYTES_MIN
from sluice.storage.object_store import ETag, ObjectHeaders, SharedRange
from sluice.storage.s3_store import S3Store
from testkit.s3_server.kinds import KINDS, client_of, servers
from testkit.s3_server.process import S3Server

BUCKET = "channel"
JSON = ObjectHeaders("application/json")
BEFORE = Random(1).randbytes(COPIED_OBJECT_BYTES_MIN)  # noqa: S311
CHANGE = b"one record more"
AT = 12 * MIB
AFTER = BEFORE[:AT] + CHANGE + BEFORE[AT:]
SHARED = [
    SharedRange(0, 0, AT),
    SharedRange(AT + len(CHANGE), AT, len(BEFORE) - AT),
]


class Written:
    """A store on a server, and what its last write took."""

    def __init__(self, server: S3Server, kind: str) -> None:
        self.server = server
        server.create(BUCKET)
        writes = KINDS[kind].expected
        assert writes
        self.store = S3Store(client_of(server), BUCKET, lambda: writes)
        etag = self.store.put_if("index", BEFORE, JSON, expected=None)
        assert etag
        self.etag: ETag = etag

    def write(self, body: bytes) -> tuple[int, int, int]:
        """Replace the object; bytes that were sent, parts that were copied and parts sent."""
        self.server.take()
        prepared = self.store.prepare_put("index", body, JSON, expected=self.etag, shared=SHARED)
        etag = prepared.complete()
        assert etag
        self.etag = etag
        counts = self.server.take().counts
        stored = self.store.get("index")
        assert stored
        assert stored.body == body
        sent = sum(count.bytes_up for count in counts.values())
        copied, parts = (
            counts[f"s3:{name}"].requests if f"s3:{name}" in counts else 0
            for name in ("UploadPartCopy", "UploadPart")
        )
        return sent, copied, parts


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[Written]:
    kind = request.param
    with servers([kind]) as running:
        yield Written(running[kind], kind)


@pytest.mark.parametrize("written", ["as-aws"], indirect=True)
def test_what_is_shared_is_not_sent(written: Written) -> None:
    sent, copied, parts = written.write(AFTER)
    assert (copied, parts) == (2, 1)
    assert sent < PART_BYTES_MIN + MIB  # the least that S3 takes as a part


@pytest.mark.parametrize("written", ["as-aws"], indirect=True)
def test_what_is_said_to_be_shared_and_is_not_is_sent(written: Written) -> None:
    other = bytes(len(AFTER))
    sent, copied, _parts = written.write(other)
    assert copied > 0
    assert sent > len(other)
    assert written.write(AFTER[: len(other)])[1] > 0  # the server copies, and is asked again


@pytest.mark.parametrize("written", ["checksums-ignored"], indirect=True)
def test_a_server_that_proves_nothing_is_not_asked_again(written: Written) -> None:
    sent, copied, _parts = written.write(AFTER)
    assert copied > 0
    assert sent > len(AFTER)
    written.write(BEFORE)
    _sent, copied, parts = written.write(AFTER)
    assert (copied, parts) == (0, 0)  # it is small enough for one request


@pytest.mark.parametrize("written", ["completion-without-condition"], indirect=True)
def test_without_a_condition_on_the_completion_nothing_is_copied(written: Written) -> None:
    sent, copied, parts = written.write(AFTER)
    assert (copied, parts) == (0, 0)
    assert sent >= len(AFTER)
