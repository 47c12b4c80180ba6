"""What the measured processes find in their environment.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.emulator import Cloud, credentials

_DEBOUNCE_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Queues:
    """URLs of the queues of a stack."""

    upload: str
    merge: str
    reconcile: str


def client_variables(cloud: Cloud) -> dict[str, str]:
    """What a client of AWS needs, so that it talks to the emulated one and to nothing else."""
    return {
        **credentials(),
        "AWS_ENDPOINT_URL_S3": cloud.s3.endpoint,
        "AWS_ENDPOINT_URL_SQS": cloud.counted_sqs_endpoint,
    }


def variables(name: str, bucket: str, state_bucket: str, queues: Queues) -> dict[str, str]:
    """What the template tells a function, with its defaults."""
    return {
        "CHANNEL_BUCKET": bucket,
        "STATE_BUCKET": state_bucket,
        "CHANNEL_PREFIXES": "",
        "MERGE_QUEUE_URL": queues.merge,
        "DEBOUNCE_SECONDS": str(_DEBOUNCE_SECONDS),
        "DEFAULT_OUTPUTS": "run-exports",
        "DEFAULT_TIMESTAMPS": "warn",
        "TRUST_UPLOADER_DIGESTS": "true",
        "UPLOAD_QUEUE_URL": queues.upload,
        "UPLOAD_MAX_RECEIVES": "5",
        "RECONCILE_QUEUE_URL": queues.reconcile,
        "RETENTION_DAYS": "7",
        "BRAKE_DAYS": "3",
        "INDEX_CACHE_MAX_AGE": "60",
        "OWNER": "benchmark",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",  # as Lambda sets it
        "POWERTOOLS_SERVICE_NAME": name,
        "POWERTOOLS_METRICS_NAMESPACE": "Sluice",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
