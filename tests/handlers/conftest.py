"""The functions, wired by their environment alone."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import boto3
import pytest

from sluice.storage import sqs_queue
from testkit.memory_queue import MemoryFeed, MemoryQueue
from tests.handlers.functions import (
    BUCKET,
    OWNER,
    RECEIVES_MAX,
    RECONCILE_QUEUE_URL,
    SLOW_UPLOAD_QUEUE_URL,
    STATE,
    UPLOAD_QUEUE_URL,
    Stack,
    load,
)
from tests.handlers.stack_driver import StackDriver


@pytest.fixture
def stack(moto: None, monkeypatch: pytest.MonkeyPatch) -> Stack:
    assert moto is None
    # moto forgets deduplication ids once their message is consumed, which SQS does not.
    monkeypatch.setattr("sluice.storage.deduplicating_queue.DEDUPLICATION_MS", 0)
    client = boto3.client("s3")
    for bucket in (BUCKET, STATE):
        client.create_bucket(Bucket=bucket)
    url = sqs_queue.make_sqs_client().create_queue(
        QueueName="merge.fifo", Attributes={"FifoQueue": "true", "VisibilityTimeout": "900"}
    )["QueueUrl"]
    environment = {
        "CHANNEL_BUCKET": BUCKET,
        "STATE_BUCKET": STATE,
        "MERGE_QUEUE_URL": url,
        "DEBOUNCE_SECONDS": "3",
        "TRUST_UPLOADER_DIGESTS": "true",
        "UPLOAD_QUEUE_URL": UPLOAD_QUEUE_URL,
        "SLOW_UPLOAD_QUEUE_URL": SLOW_UPLOAD_QUEUE_URL,
        "UPLOAD_MAX_RECEIVES": str(RECEIVES_MAX),
        "INDEX_CACHE_MAX_AGE": "60",
        "DEFAULT_OUTPUTS": "none",
        "DEFAULT_TIMESTAMPS": "warn",
        "OWNER": OWNER,
        "RECONCILE_QUEUE_URL": RECONCILE_QUEUE_URL,
        "RETENTION_DAYS": "7",
        "BRAKE_DAYS": "3",
        "POWERTOOLS_SERVICE_NAME": "function",
        "POWERTOOLS_METRICS_NAMESPACE": "Sluice",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Stack(url)


@pytest.fixture
def upload_queue() -> MemoryQueue:
    """Takes messages back, so that no test takes a failure to do so for the one it is about."""
    return MemoryQueue()


@pytest.fixture
def slow_queue() -> MemoryFeed:
    """SlowUploadQueue."""
    return MemoryFeed()


@pytest.fixture
def extract(
    stack: Stack,
    upload_queue: MemoryQueue,
    slow_queue: MemoryFeed,
    monkeypatch: pytest.MonkeyPatch,
) -> ModuleType:
    assert stack
    module = load("extract")
    assert module.ctx().uploads._url == UPLOAD_QUEUE_URL
    assert module.ctx().slow_uploads._url == SLOW_UPLOAD_QUEUE_URL
    ctx = replace(module.ctx(), uploads=upload_queue, slow_uploads=slow_queue)
    monkeypatch.setattr(module, "ctx", lambda: ctx)
    return module


@pytest.fixture
def merge(stack: Stack) -> ModuleType:
    assert stack
    return load("merge")


@pytest.fixture
def reconcile(stack: Stack) -> ModuleType:
    for url in (UPLOAD_QUEUE_URL, SLOW_UPLOAD_QUEUE_URL):
        assert stack.sqs.create_queue(QueueName=url.rpartition("/")[2])["QueueUrl"] == url
    attributes = {"FifoQueue": "true", "VisibilityTimeout": "960"}
    answer = stack.sqs.create_queue(QueueName="reconcile.fifo", Attributes=attributes)
    assert answer["QueueUrl"] == RECONCILE_QUEUE_URL
    return load("reconcile")


@pytest.fixture
def driver(stack: Stack, reconcile: ModuleType, monkeypatch: pytest.MonkeyPatch) -> StackDriver:
    assert reconcile  # has made the queues
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    return StackDriver(stack)
