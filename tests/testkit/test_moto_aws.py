"""moto is shared by the tests of a module, what is stored in it is not."""

from __future__ import annotations

import boto3
import pytest

from sluice.storage.object_headers import PRIVATE_JSON_HEADERS
from sluice.storage.s3_client import make_s3_client
from sluice.storage.s3_store import S3Store
from sluice.storage.sqs_queue import make_sqs_client

BUCKET = "channel"


@pytest.mark.usefixtures("moto")
@pytest.mark.parametrize("test", ["first", "next"])
def test_buckets_objects_and_queues_of_one_test_are_not_seen_by_the_next(test: str) -> None:
    s3, sqs = boto3.client("s3"), make_sqs_client()
    assert s3.list_buckets()["Buckets"] == []
    assert "QueueUrls" not in sqs.list_queues()
    s3.create_bucket(Bucket=BUCKET)
    store = S3Store(make_s3_client(), BUCKET)
    assert list(store.list("")) == []
    store.put("key", test.encode(), PRIVATE_JSON_HEADERS)
    url = sqs.create_queue(QueueName="queue")["QueueUrl"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.send_message(QueueUrl=url, MessageBody=test)
