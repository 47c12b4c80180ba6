"""Lambda: merge requests in, a commit and published index files out."""

from __future__ import annotations

import os
import time
import uuid
import warnings
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.channel_files.merge import ChannelReport, merge_channel
from sluice.concurrency import in_threads
from sluice.errors import WrongState
from sluice.limits import CONCURRENT_REQUESTS_MAX
from sluice.merge.context import Merger
from sluice.merge.merge import merge
from sluice.merge.outcome import MergeReport
from sluice.messages import channel_merge_request as channel_request
from sluice.messages import merge_request
from sluice.publish.publisher import Publisher
from sluice.settings import MergeSettings
from sluice.storage import s3_client, s3_store, sqs_queue

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

RETRY_SECONDS_MAX = 300

logger = Logger()
metrics = Metrics()
processor = SqsFifoPartialProcessor()
# The batch is one message: one that comes back is an answer, not a failure of the function.
processor.raise_on_entire_batch_failure = False
# A message that is given back leaves nothing to count.
warnings.filterwarnings("ignore", "No application metrics to publish")


class TooEarly(Exception):
    """The request's window has not closed; the message has been given back until it has."""


@cache
def settings() -> MergeSettings:
    """Read the environment once."""
    return MergeSettings.from_env(os.environ)


@cache
def queue() -> sqs_queue.SqsQueue:
    """Make the queue's client once per execution environment."""
    return sqs_queue.SqsQueue(sqs_queue.make_client, settings().common.merge_queue_url)


@cache
def merger() -> Merger:
    """Wire the core to AWS, once per execution environment."""
    common = settings().common
    client = s3_client.make_client()
    channel = s3_store.S3Store(client, common.channel_bucket)
    state = s3_store.S3Store(client, common.state_bucket)
    return Merger(
        channel=channel,
        state=state,
        bucket=common.channel_bucket,
        publisher=Publisher(channel, state, settings().owner, settings().index_max_age_seconds),
        queue=queue(),
        gather=in_threads(CONCURRENT_REQUESTS_MAX),
        clock=now_ms,
        unique=lambda: uuid.uuid4().hex,
        debounce_seconds=common.debounce_seconds,
        defaults=settings().channel_defaults,
        brake_days=settings().brake_days,
    )


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Accept a batch (of one) from MergeQueue."""
    return process_partial_response(
        event=event, record_handler=handle_message, processor=processor, context=context
    )


def handle_message(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Merge, or give the message back: until its window has closed, or to be tried again."""
    try:
        asked = channel_request.parse(record.body)
        if asked is not None:
            logger.append_keys(channel=asked.channel)
            wait_for_window(asked.not_before, record)
            tell_of_channel(merge_channel(merger().channelwide, asked.channel))
            return
        request = merge_request.parse(record.body)
        logger.append_keys(channel=request.subdir.channel, subdir=request.subdir.name)
        wait_for_window(request.not_before, record)
        started = now_ms()
        report = merge(merger(), request, time_left_ms=lambda_context.get_remaining_time_in_millis)
    except TooEarly:
        raise
    except Exception as error:
        logger.exception("the merge will be tried again")
        metrics.add_metric("MergeFailures", MetricUnit.Count, 1)
        if isinstance(error, WrongState):
            count_wrong_state()
        # A FIFO group stands still until its message is visible again: not for the whole timeout.
        tries = int(record.attributes.approximate_receive_count or 1)
        queue().change_visibility(record.receipt_handle, min(2**tries, RETRY_SECONDS_MAX))
        raise
    tell(report, duration_ms=now_ms() - started)


def count_wrong_state() -> None:
    """Send the metric that reconcile sends as well: one alarm watches both."""
    with single_metric(
        name="WrongState",
        unit=MetricUnit.Count,
        value=1,
        default_dimensions={"service": "sluice"},
    ):
        pass


def wait_for_window(not_before: int, record: SQSRecord) -> None:
    """Give a message back that came before its window has closed; raises ``TooEarly``."""
    early_ms = not_before - now_ms()
    if early_ms > 0:
        queue().change_visibility(record.receipt_handle, -(-early_ms // 1000))
        raise TooEarly(f"{early_ms} ms before the window closes")


def tell_of_channel(report: ChannelReport) -> None:
    """Turn the report on a channel's files into metrics and one line of log."""
    metrics.add_metric("ForeignIndexWrites", MetricUnit.Count, report.foreign_overwritten)
    metrics.add_metric("StagingSetAside", MetricUnit.Count, report.set_aside)
    logger.info("merged the channel", extra=asdict(report))


def tell(report: MergeReport, *, duration_ms: int) -> None:
    """Turn a report into metrics and one line of log."""
    changed = report.difference
    counts = {
        "PackagesIndexed": len(changed.added) + len(changed.replaced),
        "PackagesRemoved": len(changed.removed),
        # What people have uploaded and cannot be used: one alarm for all of it.
        "PackagesRejected": len(changed.rejected) + len(report.problems),
        "TimestampWarnings": len(changed.warned),
        "ForeignIndexWrites": report.foreign_overwritten,
        "StagingSetAside": report.set_aside,
    }
    for name, count in counts.items():
        metrics.add_metric(name, MetricUnit.Count, count)
    metrics.add_metric("MergeDuration", MetricUnit.Milliseconds, duration_ms)
    for lag_ms in report.lags_ms:
        metrics.add_metric("IndexLag", MetricUnit.Milliseconds, lag_ms)
    for problem in report.problems:
        logger.error(
            "a configuration or a patch cannot be used",
            extra={"file": problem.filename, "code": problem.code, "sentence": problem.sentence},
        )
    if changed.warned:
        logger.warning("built after they were indexed", extra={"files": changed.warned})
    logger.info(
        "merged",
        extra={
            "generation": report.generation,
            "staged": report.staged,
            "staged_by_newer_version": report.too_new,
            "taken_over": report.taken_over,
            "left_out": report.left_out,
            "waiting": report.waiting.files if report.waiting else 0,
            "files_written": report.files_written,
            "unfinished": report.unfinished,
            "duration_ms": duration_ms,
            **counts,
        },
    )


if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:  # set by Lambda, and by nothing else
    # Lambda's init phase has a whole CPU, whatever the memory: the place to make clients.
    merger()
