"""A merge that dies between its commit and the last file it publishes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from local.emulator import REGION
from sluice.catalog.head import read_head
from sluice.concurrency import in_order
from sluice.conda.names import NOARCH
from sluice.layout import REPODATA, SHARD_INDEX, Subdir
from sluice.merge.context import MergeContext
from sluice.merge.merge import merge
from sluice.messages.merge_request import MergeRequest
from sluice.publish.publisher import Publisher
from sluice.settings import MergeSettings
from sluice.storage.object_store import (
    DeferredPut,
    ETag,
    ObjectHeaders,
    PreparedPut,
    SharedRange,
)
from sluice.storage.s3_client import Endpoint, make_s3_client
from sluice.storage.s3_store import S3Store
from sluice.storage.sqs_queue import SqsQueue
from testkit.channel import conda
from testkit.deployed import Channel
from testkit.eventually import eventually
from testkit.scheduler import Killed

PACKAGE = conda(
    {
        "name": "app",
        "version": "1.0",
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
    }
)
_EMPTY_HEAD = b'{"generation":0,'


class DiesAfter(S3Store):
    """S3, used by a process that dies right after it wrote a certain key."""

    def __init__(self, bucket: str, last: str, endpoint: str) -> None:
        super().__init__(make_s3_client(Endpoint(REGION, endpoint)), bucket)
        self._last = last

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        not_after_ms: int | None = None,
    ) -> ETag | None:
        """Write; then it may be over."""
        etag = super().put_if(key, body, headers, expected=expected, not_after_ms=not_after_ms)
        # Before a first commit there is an empty head, see ``merge``.
        if key == self._last and not body.startswith(_EMPTY_HEAD):
            raise Killed
        return etag

    def prepare_put(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        shared: Sequence[SharedRange] = (),  # noqa: ARG002
    ) -> PreparedPut:
        """Send nothing ahead: all of it goes through ``put_if``."""
        return DeferredPut(self, key, body, headers, expected)


@pytest.mark.parametrize(
    ("last", "published"),
    [
        (lambda subdir: subdir.head_key, []),
        (lambda subdir: subdir.file_key(SHARD_INDEX), [SHARD_INDEX]),
    ],
    ids=["commit", "shard index"],
)
def test_what_a_killed_merge_committed_is_published_by_the_next(
    channel: Channel, last: Callable[[Subdir], str], published: list[str]
) -> None:
    subdir = channel.subdir("linux-64")
    with channel.deployed.merging_suspended():
        channel.upload(PACKAGE)
        staged = eventually(
            lambda: channel.staged(subdir.name),
            bool,
            what="the package is staged",
            explain=channel.describe,
        )
        with pytest.raises(Killed):
            _merge_here(channel, subdir, dies_after=last(subdir))
        index_files = [path for path in channel.files() if "/shards/" not in path]
        ours = [path for path in index_files if path.startswith(f"{subdir.name}/")]
        assert ours == [f"{subdir.name}/{file}" for file in published]
        # The channel's noarch comes before the first of them.
        assert (f"{NOARCH}/{REPODATA}" in index_files) == bool(published)
        assert channel.staged(subdir.name) == staged
    # The request that extract sent is still in the queue.
    indexes = channel.wait_until_it_holds(PACKAGE)
    assert {name: index.generation for name, index in indexes.items()} == {
        "linux-64": 1,
        "noarch": 1,
    }
    assert channel.staged(subdir.name) == []
    stack = channel.deployed.stack
    state = S3Store(make_s3_client(Endpoint(REGION, stack.endpoint)), stack.state_bucket)
    head = read_head(state, subdir).value
    assert (head.generation, head.epoch) == (1, 1)  # nothing to commit a second time


def _merge_here(channel: Channel, subdir: Subdir, *, dies_after: str) -> Any:
    """Run the merge function's core in this process, on the stack's buckets and queue."""
    stack = channel.deployed.stack
    settings = MergeSettings.from_env(channel.deployed.environment_of(stack.merge_function))
    channel_store, state = (
        DiesAfter(bucket, dies_after, stack.endpoint)
        for bucket in (settings.common.channel_bucket, settings.common.state_bucket)
    )
    merger = MergeContext(
        channel=channel_store,
        state=state,
        bucket=settings.common.channel_bucket,
        publisher=Publisher(channel_store, state, settings.owner, settings.index_max_age_seconds),
        merge_queue=SqsQueue(lambda: stack.sqs, stack.merge_queue_url),
        executor=in_order,
        clock=lambda: time.time_ns() // 1_000_000,
        new_id=lambda: uuid.uuid4().hex,
        debounce_seconds=settings.common.debounce_seconds,
    )
    return merge(merger, MergeRequest(subdir, not_before=0), time_left_ms=lambda: 300_000)
