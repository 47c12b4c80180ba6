"""The merge Lambda: merge requests in, a commit and published index files out."""

from __future__ import annotations

import os
import warnings
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import batch
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.errors import TooEarly, WrongState
from sluice.merge import handler as merge
from sluice.merge.metrics import merge_log_lines, merge_metrics
from sluice.messages.delivery import Delivery
from sluice.settings import MergeSettings
from sluice.telemetry import SHARED, VERSION
from sluice.wiring.merge import merge_context

logger, metrics = Logger(version=VERSION), Metrics()
processor = batch.SqsFifoPartialProcessor()
# The batch is one message: returning it is a response, not a failure of the function.
processor.raise_on_entire_batch_failure = False
# There is nothing to count for a message that is returned to the queue.
warnings.filterwarnings("ignore", "No application metrics to publish")
# Once per execution environment.
ctx = cache(lambda: merge_context(MergeSettings.from_env(os.environ)))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> Any:
    """Accept a batch (of one) from MergeQueue."""
    return batch.process_partial_response(event, handle_message, processor, context)


def handle_message(record: SQSRecord, lambda_context: Any) -> None:
    """Handle one message of MergeQueue; log and count a failure."""
    delivery, started = Delivery.from_record(record), ctx().clock()
    time_left_ms = lambda_context.get_remaining_time_in_millis
    try:
        handled = merge.run(
            delivery, ctx(), time_left_ms=time_left_ms, add_log_keys=logger.append_keys
        )
    except Exception as error:
        logger.exception("the merge will be tried again")
        metrics.add_metric("MergeFailures", MetricUnit.Count, 1)
        if isinstance(error, WrongState):
            with single_metric("WrongState", MetricUnit.Count, 1, default_dimensions=SHARED):
                pass
        raise
    if handled.report is not None:
        emit_metrics_and_log(handled.report, duration_ms=ctx().clock() - started)
    if handled.is_early:
        raise TooEarly("returned to the queue until it is due")  # so that Lambda does not delete it


def emit_metrics_and_log(report: merge.Report, *, duration_ms: int) -> None:
    """Send the metrics of a merge, and log its result."""
    for name, value, unit in merge_metrics(report, duration_ms=duration_ms):
        metrics.add_metric(name, unit, value)
    for level, message, fields in merge_log_lines(report, duration_ms=duration_ms):
        getattr(logger, level)(message, extra=fields)


if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:  # set by Lambda, and by nothing else
    ctx()  # the init phase has a full CPU, whatever the memory size: create clients here
