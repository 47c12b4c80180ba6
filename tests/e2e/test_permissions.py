"""Every policy enforced: do the functions get by with what their roles allow?

MiniStack evaluates IAM, bucket and queue policies here, over TLS, as AWS does.  Everything else
is tested without, where a test can be told from outside what it may do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from local.emulator import CREDENTIALS, REGION
from local.stack import Stack, run_stack
from tests.support.channel import conda
from tests.support.eventually import eventually

from sluice.keys import Subdir

CHANNEL = "Team/Default"
INDEX = {"version": "1.0", "build": "h1_0", "build_number": 0, "depends": [], "subdir": "noarch"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with run_stack(tmp_path_factory.mktemp("strict"), strict=True) as running:
        yield running


def read(stack: Stack, bucket: str, key: str) -> Any:
    try:
        return json.load(stack.s3.get_object(Bucket=bucket, Key=key)["Body"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise


def indexed(stack: Stack) -> set[str]:
    index = read(stack, stack.channel_bucket, f"{CHANNEL}/noarch/repodata.json")
    return set(index["packages.conda"]) if index else set()


def rejected(stack: Stack) -> set[str]:
    document = read(stack, stack.state_bucket, Subdir(CHANNEL, "noarch").rejects)
    return {one["filename"] for one in document["rejects"]} if document else set()


def test_somebody_without_a_policy_is_refused(stack: Stack) -> None:
    # Without this the test below would prove nothing.
    where: dict[str, Any] = {
        "region_name": REGION,
        "endpoint_url": stack.endpoint,
        "verify": str(stack.ca_bundle),
    }
    iam = boto3.client(
        "iam",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        **where,
    )
    iam.create_user(UserName="stranger")
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    stranger = boto3.client(
        "s3",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        **where,
    )
    with pytest.raises(ClientError) as refused:
        stranger.put_object(Bucket=stack.channel_bucket, Key="a/noarch/a-1-0.conda", Body=b"")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_the_roles_suffice_to_index_to_reject_and_to_remove(stack: Stack) -> None:
    good = [conda({**INDEX, "name": name}) for name in ("one", "two")]
    broken = "broken-1.0-h1_0.conda"
    for package in good:
        stack.s3.put_object(
            Bucket=stack.channel_bucket, Key=f"{CHANNEL}/{package.path}", Body=package.body
        )
    stack.s3.put_object(
        Bucket=stack.channel_bucket, Key=f"{CHANNEL}/noarch/{broken}", Body=b"not a package"
    )
    eventually(lambda: indexed(stack), lambda seen: len(seen) == 2, what="the index")
    rejects = eventually(lambda: rejected(stack), bool, what="the reject")
    assert rejects == {broken}

    stack.s3.delete_object(Bucket=stack.channel_bucket, Key=f"{CHANNEL}/{good[0].path}")
    eventually(lambda: indexed(stack), lambda seen: len(seen) == 1, what="the removal")
    assert indexed(stack) == {good[1].filename}
    for queue in (stack.upload_dlq_url, stack.merge_dlq_url):
        assert "Messages" not in stack.sqs.receive_message(QueueUrl=queue)
