"""The wiring of the extract function."""

from __future__ import annotations

import time
import uuid
from threading import Thread

from sluice.concurrency import in_threads
from sluice.extract.extract import ExtractorContext
from sluice.extract.handler import ExtractContext
from sluice.limits import CONCURRENT_REQUESTS_MAX
from sluice.settings import ExtractSettings
from sluice.storage import s3_client, s3_store, sqs_queue
from sluice.storage.deduplicating_queue import DeduplicatingQueue
from sluice.storage.s3_client import wall_clock_ms
from sluice.storage.sqs_queue import SqsQueue


def extract_context(settings: ExtractSettings, *, connect_early: bool = False) -> ExtractContext:
    """Create the clients of an execution environment; SQS clients connect on first use.

    ``connect_early``: MergeQueue's client connects in a thread, because nothing needs it until a
    package was read and staged.
    """
    common = settings.common
    merge_queue = SqsQueue(sqs_queue.make_sqs_client, common.merge_queue_url)
    client = s3_client.make_s3_client()
    extractor = ExtractorContext(
        channel=s3_store.S3Store(client, common.channel_bucket),
        state=s3_store.S3Store(client, common.state_bucket),
        merge_queue=DeduplicatingQueue(merge_queue, wall_clock_ms),
        executor=in_threads(CONCURRENT_REQUESTS_MAX),
        clock=wall_clock_ms,
        new_id=lambda: f"{time.time_ns()}-{uuid.uuid4().hex}",
        debounce_seconds=common.debounce_seconds,
        trust_uploader_digests=settings.trust_uploader_digests,
        receives_max=settings.upload_receives_max,
    )
    if connect_early:
        Thread(target=merge_queue.connect, daemon=True).start()
    return ExtractContext(
        extractor=extractor,
        uploads=SqsQueue(sqs_queue.make_sqs_client, settings.upload_queue_url),
        slow_uploads=SqsQueue(sqs_queue.make_sqs_client, settings.slow_upload_queue_url),
        slow_queue=settings.slow_upload_queue_url.rpartition("/")[2],
        bucket=common.channel_bucket,
        prefixes=settings.channel_prefixes,
    )
