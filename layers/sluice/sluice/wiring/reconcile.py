"""The wiring of the reconcile function."""

from __future__ import annotations

import time
import uuid
from functools import cache

from sluice.concurrency import in_threads
from sluice.limits import CONCURRENT_REQUESTS_MAX
from sluice.reconcile.context import ReconcileContext
from sluice.settings import ReconcileSettings
from sluice.storage import s3_client, s3_store, sqs_queue
from sluice.storage.s3_client import wall_clock_ms
from sluice.storage.sqs_queue import SqsQueue


def reconcile_context(settings: ReconcileSettings) -> ReconcileContext:
    """Create the clients of an execution environment; SQS clients connect on first use."""
    common = settings.common
    client, sqs_client = s3_client.make_s3_client(), cache(sqs_queue.make_sqs_client)
    return ReconcileContext(
        channel=s3_store.S3Store(client, common.channel_bucket),
        state=s3_store.S3Store(client, common.state_bucket),
        bucket=common.channel_bucket,
        uploads=SqsQueue(sqs_client, settings.upload_queue_url),
        merge_queue=SqsQueue(sqs_client, common.merge_queue_url),
        continuations=SqsQueue(sqs_client, settings.reconcile_queue_url),
        executor=in_threads(CONCURRENT_REQUESTS_MAX),
        clock=wall_clock_ms,
        new_id=lambda: f"{time.time_ns()}-{uuid.uuid4().hex}",
        debounce_seconds=common.debounce_seconds,
        owner=settings.owner,
        retention_days=settings.retention_days,
        defaults=settings.channel_defaults,
        prefixes=settings.channel_prefixes,
        brake_days=settings.brake_days,
        checks_digests=settings.trust_uploader_digests,
        leaves_young_staging=True,
    )
