"""Lambda: S3 events in, staging records and merge requests out."""

from __future__ import annotations

import os
import time
import uuid
import warnings
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.concurrency import in_threads
from sluice.extract.config_broadcast import Announcer
from sluice.extract.extract import Extractor, extract
from sluice.extract.staging import AboutFile, Indexed, Rejected, Removed
from sluice.layout import PackageKey, parse_config_key, parse_package_key
from sluice.limits import CONCURRENT_REQUESTS_MAX
from sluice.messages import s3_event
from sluice.messages.s3_event import ObjectEvent
from sluice.settings import ExtractSettings
from sluice.storage import s3_client, s3_store, sqs_queue
from sluice.storage.deduplicating_queue import Once

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

RETRY_SECONDS = 15
"""Until a failed upload is tried again; each further wait is four times as long."""
RETRY_SECONDS_MAX = 900

logger = Logger()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
# S3's test event and keys that are no package's leave nothing to count.
warnings.filterwarnings("ignore", "No application metrics to publish")


@cache
def settings() -> ExtractSettings:
    """Read the environment once."""
    return ExtractSettings.from_env(os.environ)


@cache
def merge_queue() -> sqs_queue.SqsQueue:
    """Where merges are asked for."""
    return sqs_queue.SqsQueue(sqs_queue.make_client, settings().common.merge_queue_url)


@cache
def extractor() -> Extractor:
    """Wire the core to AWS, once per execution environment."""
    common = settings().common
    client = s3_client.make_client()
    return Extractor(
        channel=s3_store.S3Store(client, common.channel_bucket),
        state=s3_store.S3Store(client, common.state_bucket),
        queue=Once(merge_queue(), now_ms),
        clock=now_ms,
        unique=lambda: f"{time.time_ns()}-{uuid.uuid4().hex}",
        debounce_seconds=common.debounce_seconds,
        trust_uploader_digests=settings().trust_uploader_digests,
        receives_max=settings().upload_receives_max,
    )


@cache
def announcer() -> Announcer:
    """Tells the subdirs of a channel of its configuration."""
    world = extractor()
    return Announcer(
        state=world.state,
        queue=world.queue,
        gather=in_threads(CONCURRENT_REQUESTS_MAX),
        clock=world.clock,
        unique=world.unique,
        debounce_seconds=world.debounce_seconds,
    )


@cache
def upload_queue() -> sqs_queue.SqsQueue:
    """Make the queue's client once per execution environment."""
    return sqs_queue.SqsQueue(sqs_queue.make_client, settings().upload_queue_url)


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Accept SQS batches of S3 events, and S3 and EventBridge events as they are."""
    match event:
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            return process_partial_response(
                event=event, record_handler=handle_message, processor=processor, context=context
            )
    handle(s3_event.parse(event), received=1)
    return None


def handle_message(record: SQSRecord) -> None:
    """Handle one message of UploadQueue, or give it back to be tried again."""
    received = int(record.attributes.approximate_receive_count or 1)
    try:
        handle(s3_event.parse_body(record.body), received=received)
    except Exception:
        wait_seconds = min(RETRY_SECONDS * 4 ** (received - 1), RETRY_SECONDS_MAX)
        logger.exception(
            "the upload will be tried again",
            extra={"received": received, "wait_seconds": wait_seconds, "event": record.body},
        )
        metrics.add_metric("ExtractFailures", MetricUnit.Count, 1)
        # Not in six times the timeout, which is for functions that die without a word.
        upload_queue().change_visibility(record.receipt_handle, wait_seconds)
        raise


def handle(objects: list[ObjectEvent], *, received: int) -> None:
    """Extract every object that lies where a package lies, and pass on new configurations."""
    for one in objects:
        channel = parse_config_key(one.key)
        if channel is not None and one.bucket == settings().common.channel_bucket:
            # Only subdirs that are ours have anything in the state bucket.
            told = announcer().tell_all(channel)
            logger.info(
                "configured", extra={"channel": channel, "subdirs": [one.name for one in told]}
            )
            continue
        key = parse_package_key(one.key)
        if key is None or not is_ours(key, one.bucket):
            # An existing bucket may be full of such keys, and nobody is to pay for telling of them.
            logger.debug("not a package of this channel bucket", extra={"key": one.key})
            continue
        with logger.append_context_keys(
            channel=key.subdir.channel,
            subdir=key.subdir.name,
            # Python's log records have a "filename", too, so powertools takes ours for a template.
            filename=key.filename.replace("%", "%%"),
        ):
            staged = extract(extractor(), key, size_hint=one.size, received=received)
            metrics.add_metric("StagedRecords", MetricUnit.Count, 1)
            logger.info("staged", extra=_told_of(staged))


def is_ours(key: PackageKey, bucket: str) -> bool:
    """Tell whether a package lies where the stack was told to look."""
    return bucket == settings().common.channel_bucket and key.subdir.prefix.startswith(
        settings().channel_prefixes
    )


def _told_of(staged: AboutFile) -> dict[str, str]:
    match staged:
        case Rejected(code=code, sentence=sentence):
            return {"verdict": "rejected", "code": code, "sentence": sentence}
        case Removed():
            return {"verdict": "removed"}
        case Indexed():
            return {"verdict": "indexed"}


if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:  # set by Lambda, and by nothing else
    # Lambda's init phase has a whole CPU, whatever the memory: the place to make clients.
    extractor()
    # ... but for the one of SQS, which nothing waits for until a package was read and staged.
    Thread(target=merge_queue().connect, daemon=True).start()
