"""The reconcile Lambda: a request or a step in; packages, merge requests and a report out."""

from __future__ import annotations

import os
import warnings
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import batch
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.messages.delivery import Delivery
from sluice.reconcile.handler import ReconcileReport, parse_reconcile_request, run, start_once
from sluice.reconcile.metrics import reconcile_log_lines, reconcile_metrics, step_retry_fields
from sluice.settings import ReconcileSettings
from sluice.telemetry import SHARED, VERSION
from sluice.wiring.reconcile import reconcile_context

logger, metrics, processor = Logger(version=VERSION), Metrics(), batch.SqsFifoPartialProcessor()
processor.raise_on_entire_batch_failure = False  # a message that returns is a response
warnings.filterwarnings("ignore", "No application metrics to publish")  # no report
ctx = cache(lambda: reconcile_context(ReconcileSettings.from_env(os.environ)))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> Any:
    """Accept a batch (of one) from ReconcileQueue, or a request, whose report it returns."""
    if "Records" in event:
        return batch.process_partial_response(event, handle_message, processor, context)
    request, left = parse_reconcile_request(event), context.get_remaining_time_in_millis
    try:
        started = start_once(ctx(), request, invocation=context.aws_request_id, time_left_ms=left)
    except Exception:  # a scheduled run leaves no message for a dead-letter queue
        metrics.add_metric("ReconcileFailures", MetricUnit.Count, 1)
        raise
    if started.is_new:
        emit_metrics_and_log(started.report)
    return msgspec.to_builtins(started.report)


def handle_message(record: SQSRecord, lambda_context: Any) -> None:
    """Handle one message of ReconcileQueue; log and count a failure."""
    delivery, left_ms = Delivery.from_record(record), lambda_context.get_remaining_time_in_millis
    try:
        report = run(delivery, ctx(), time_left_ms=left_ms)
    except Exception:
        logger.exception("the step will be tried again", extra=step_retry_fields(delivery))
        metrics.add_metric("ReconcileFailures", MetricUnit.Count, 1)
        raise
    emit_metrics_and_log(report)


def emit_metrics_and_log(report: ReconcileReport) -> None:
    """Send the metrics of the last step of a report, and log its result."""
    for name, value, unit in reconcile_metrics(report):
        metrics.add_metric(name, unit, value)
    if wrong := report.last_step[1].counts.wrong_state:
        with single_metric("WrongState", MetricUnit.Count, wrong, default_dimensions=SHARED):
            pass
    for level, message, fields in reconcile_log_lines(report):
        getattr(logger, level)(message, extra=fields)


if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:  # set by Lambda, and by nothing else
    ctx()  # the init phase has a full CPU, whatever the memory size: create clients here
