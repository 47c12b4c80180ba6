"""Lambda: a request or a step of a run in; packages fed, merges asked for and a report out."""

from __future__ import annotations

import os
import time
import uuid
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.concurrency import in_threads
from sluice.limits import CONCURRENT_REQUESTS_MAX
from sluice.reconcile.run import Reconciler, Report, parse_request, proceed, start
from sluice.settings import ReconcileSettings
from sluice.storage import s3_client as s3client
from sluice.storage import s3_store, sqs_queue

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

RETRY_SECONDS = 30
"""Until a failed step is tried again; each further wait is twice as long."""
RETRY_SECONDS_MAX = 600

logger = Logger()
metrics = Metrics()
processor = SqsFifoPartialProcessor()
# The batch is one message: one that comes back is an answer, not a failure of the function.
processor.raise_on_entire_batch_failure = False
# A request that is none leaves nothing to count.
warnings.filterwarnings("ignore", "No application metrics to publish")


@cache
def settings() -> ReconcileSettings:
    """Read the environment once."""
    return ReconcileSettings.from_env(os.environ)


@cache
def queue() -> sqs_queue.SqsQueue:
    """Make the queue's client once per execution environment."""
    return sqs_queue.SqsQueue(sqs_queue.make_client, settings().reconcile_queue_url)


@cache
def reconciler() -> Reconciler:
    """Wire the core to AWS, once per execution environment."""
    common = settings().common
    s3_client, sqs_client = s3client.make_client(), cache(sqs_queue.make_client)
    return Reconciler(
        channel=s3_store.S3Store(s3_client, common.channel_bucket),
        state=s3_store.S3Store(s3_client, common.state_bucket),
        bucket=common.channel_bucket,
        uploads=sqs_queue.SqsQueue(sqs_client, settings().upload_queue_url),
        merges=sqs_queue.SqsQueue(sqs_client, common.merge_queue_url),
        continuations=queue(),
        gather=in_threads(CONCURRENT_REQUESTS_MAX),
        clock=lambda: time.time_ns() // 1_000_000,
        unique=lambda: f"{time.time_ns()}-{uuid.uuid4().hex}",
        debounce_seconds=common.debounce_seconds,
        owner=settings().owner,
        retention_days=settings().retention_days,
        defaults=settings().channel_defaults,
        prefixes=settings().channel_prefixes,
        brake_days=settings().brake_days,
    )


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Accept a batch (of one) from ReconcileQueue, or a request, whose report it returns."""
    match event:
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            return process_partial_response(
                event=event, record_handler=handle_message, processor=processor, context=context
            )
    request = parse_request(event)
    try:
        report = start(reconciler(), request, time_left_ms=context.get_remaining_time_in_millis)
    except Exception:
        # A scheduled run that fails leaves no message that could end in a dead-letter queue.
        metrics.add_metric("ReconcileFailures", MetricUnit.Count, 1)
        raise
    tell(report)
    return msgspec.to_builtins(report)


def handle_message(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Do one step of a run, or give the message back to be tried again."""
    received = int(record.attributes.approximate_receive_count or 1)
    try:
        report = proceed(
            reconciler(),
            record.body,
            time_left_ms=lambda_context.get_remaining_time_in_millis,
        )
    except Exception:
        wait_seconds = min(RETRY_SECONDS * 2 ** (received - 1), RETRY_SECONDS_MAX)
        logger.exception(
            "the step will be tried again",
            extra={"received": received, "wait_seconds": wait_seconds, "step": record.body},
        )
        metrics.add_metric("ReconcileFailures", MetricUnit.Count, 1)
        queue().change_visibility(record.receipt_handle, wait_seconds)
        raise
    tell(report)


def tell(report: Report) -> None:
    """Turn the last step of a report into metrics and one line of log.

    One more line for each subdir that failed, or in which removals wait.
    """
    number, step = report.last_step
    counts = step.counts
    for subdir in step.subdirs:
        if subdir.failure is not None:
            logger.error(
                "a subdir could not be reconciled",
                extra={
                    "channel": subdir.channel,
                    "subdir": subdir.subdir,
                    "reason": subdir.failure,
                },
            )
        if subdir.waiting is not None:
            logger.warning(
                "removals wait",
                extra={
                    "channel": subdir.channel,
                    "subdir": subdir.subdir,
                    "waiting": msgspec.to_builtins(subdir.waiting),
                },
            )
    if not report.request.dry_run:
        metrics.add_metric("ReconcileRepairs", MetricUnit.Count, counts.repairs)
        metrics.add_metric("RemovalsWaiting", MetricUnit.Count, counts.waiting)
        metrics.add_metric("GarbageCollected", MetricUnit.Count, counts.collected)
    failures = counts.failed + counts.foreign_owner + counts.wrong_state
    metrics.add_metric("ReconcileFailures", MetricUnit.Count, failures)
    if counts.wrong_state:
        # One alarm watches what merge and reconcile send.
        with single_metric(
            name="WrongState",
            unit=MetricUnit.Count,
            value=counts.wrong_state,
            default_dimensions={"service": "sluice"},
        ):
            pass
    logger.info(
        "reconciled",
        extra={
            "run": report.run,
            "step": number,
            "finished": step.next is None,
            "request": msgspec.to_builtins(report.request),
            "counts": msgspec.to_builtins(counts),
        },
    )


if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:  # set by Lambda, and by nothing else
    # Lambda's init phase has a whole CPU, whatever the memory: the place to make clients.
    reconciler()
