"""The extract Lambda: S3 events in, staging records and merge requests out."""

from __future__ import annotations

import os
import warnings
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import batch
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.extract import handler as extract
from sluice.extract.handler import Outcome, PackageStaged, UploadMisplaced
from sluice.extract.metrics import extract_log_line, upload_retry_fields
from sluice.messages import s3_event
from sluice.messages.delivery import Delivery
from sluice.settings import ExtractSettings
from sluice.telemetry import VERSION
from sluice.wiring.extract import extract_context

IN_LAMBDA = "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ  # set by Lambda, and by nothing else

logger, metrics = Logger(version=VERSION), Metrics()
processor = batch.BatchProcessor(batch.EventType.SQS, raise_on_entire_batch_failure=False)
# There is nothing to count for S3's test event and for keys that are not packages.
warnings.filterwarnings("ignore", "No application metrics to publish")
# Once per execution environment.
ctx = cache(lambda: extract_context(ExtractSettings.from_env(os.environ), connect_early=IN_LAMBDA))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> Any:
    """Accept SQS batches of S3 events, and plain S3 and EventBridge events."""
    match event:
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            return batch.process_partial_response(event, handle_message, processor, context)
    return extract.handle_events(
        s3_event.parse_s3_event(event), ctx(), on_outcome=emit_metrics_and_log
    )


def handle_message(record: SQSRecord) -> None:
    """Handle one message of either queue of uploads; log and count a failure."""
    delivery = Delivery.from_record(record)
    try:
        extract.run(delivery, ctx(), on_outcome=emit_metrics_and_log)
    except Exception:
        extra = upload_retry_fields(delivery, ctx().lane_of(delivery))
        logger.exception("the upload will be tried again", extra=extra)
        metrics.add_metric("ExtractFailures", MetricUnit.Count, 1)
        raise


def emit_metrics_and_log(outcome: Outcome) -> None:
    """Count what was staged, and log the result of one event."""
    if isinstance(outcome, PackageStaged):
        metrics.add_metric("StagedRecords", MetricUnit.Count, 1)
    if isinstance(outcome, UploadMisplaced):
        metrics.add_metric("MisplacedUploads", MetricUnit.Count, 1)
    level, message, fields = extract_log_line(outcome)
    with logger.append_context_keys(**fields):
        getattr(logger, level)(message)


if IN_LAMBDA:  # the init phase has a full CPU, whatever the memory size: create clients here
    ctx()
