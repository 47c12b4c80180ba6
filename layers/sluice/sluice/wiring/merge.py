"""The wiring of the merge function."""

from __future__ import annotations

import uuid

from sluice.concurrency import in_threads
from sluice.limits import CONCURRENT_REQUESTS_MAX
from sluice.merge.context import MergeContext
from sluice.publish.publisher import Publisher
from sluice.settings import MergeSettings
from sluice.storage import s3_client, s3_store, sqs_queue
from sluice.storage.s3_client import wall_clock_ms
from sluice.storage.sqs_queue import SqsQueue


def merge_context(settings: MergeSettings) -> MergeContext:
    """Create the clients of an execution environment; the SQS client connects on first use."""
    common = settings.common
    client = s3_client.make_s3_client()
    channel = s3_store.S3Store(client, common.channel_bucket)
    state = s3_store.S3Store(client, common.state_bucket)
    return MergeContext(
        channel=channel,
        state=state,
        bucket=common.channel_bucket,
        publisher=Publisher(channel, state, settings.owner, settings.index_max_age_seconds),
        merge_queue=SqsQueue(sqs_queue.make_sqs_client, common.merge_queue_url),
        executor=in_threads(CONCURRENT_REQUESTS_MAX),
        clock=wall_clock_ms,
        new_id=lambda: uuid.uuid4().hex,
        debounce_seconds=common.debounce_seconds,
        defaults=settings.channel_defaults,
        brake_days=settings.brake_days,
    )
