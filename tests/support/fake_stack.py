"""A stack that CloudFormation describes, with real queues of moto and a function that is a fake."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from sluice.admin.session.aws import Aws
from sluice.admin.session.notifications import NEEDED
from sluice.admin.session.queue_depth import QUEUE_KINDS
from sluice.admin.session.stack import Stack

CHANNEL_BUCKET, STATE_BUCKET = "channels", "state"
REGION = "us-east-1"
PARAMETERS = {
    "DebounceSeconds": "10",
    "DefaultOutputs": "run-exports,rss",
    "DefaultTimestamps": "warn",
}


def make_queues(aws: Aws) -> dict[str, str]:
    """Make the queues of a stack, and tell their URLs as its outputs do."""
    outputs = {}
    for kind in QUEUE_KINDS:
        fifo = "Upload" not in kind
        for role in ("Queue", "Dlq"):
            name = f"{kind}{role}{'.fifo' if fifo else ''}"
            made = aws.sqs.create_queue(
                QueueName=name, Attributes={"FifoQueue": "true"} if fifo else {}
            )
            outputs[f"{kind}{role}Url"] = made["QueueUrl"]
    return outputs


def make_channel_bucket(aws: Aws, queues: Mapping[str, str]) -> None:
    """Make the channel bucket of a stack, which sends its events to UploadQueue."""
    answer = aws.sqs.get_queue_attributes(
        QueueUrl=queues["UploadQueueUrl"], AttributeNames=["QueueArn"]
    )
    to_queue: Any = {
        "QueueArn": answer["Attributes"]["QueueArn"],
        "Events": sorted({event for event, _ in NEEDED}),
    }
    aws.s3_configuration.create_bucket(Bucket=CHANNEL_BUCKET)
    aws.s3_configuration.put_bucket_notification_configuration(
        Bucket=CHANNEL_BUCKET, NotificationConfiguration={"QueueConfigurations": [to_queue]}
    )
    aws.sqs.purge_queue(QueueUrl=queues["UploadQueueUrl"])  # of the event that tests it


def outputs_of(queues: Mapping[str, str]) -> dict[str, str]:
    """All outputs that are asked for."""
    return {
        "ChannelBucketName": CHANNEL_BUCKET,
        "StateBucketName": STATE_BUCKET,
        "ReconcileFunctionName": "reconcile",
        **queues,
    }


class FakeCloudFormation:
    """Describes one stack; any other does not exist."""

    def __init__(self, name: str, outputs: Mapping[str, str]) -> None:
        self._name = name
        self._outputs = outputs

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803 - AWS's
        """See boto3."""
        if StackName != self._name:
            told: Any = {
                "Code": "ValidationError",
                "Message": f"Stack with id {StackName} does not exist",
            }
            raise ClientError({"Error": told}, "DescribeStacks")
        return {
            "Stacks": [
                {
                    "Outputs": [
                        {"OutputKey": key, "OutputValue": value}
                        for key, value in self._outputs.items()
                    ],
                    "Parameters": [
                        {"ParameterKey": key, "ParameterValue": value}
                        for key, value in PARAMETERS.items()
                    ],
                }
            ]
        }


class FakeFunctions:
    """Lambda with one function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803 - AWS's
        """See boto3."""
        assert FunctionName == "reconcile"
        try:
            answer = self._function(json.loads(Payload))
        except Exception as error:  # noqa: BLE001 - as Lambda tells of any
            told = {"errorType": type(error).__name__, "errorMessage": str(error)}
            body = json.dumps(told).encode()
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(body)}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


def with_clients(aws: Aws, **clients: Any) -> Aws:
    """Have it use these clients in the place of its own."""
    vars(aws).update(clients)
    return aws


def stack_of(aws: Aws, outputs: Mapping[str, str] | None = None) -> Stack:
    """The stack as it is found, with outputs that not every one has."""
    return Stack(aws=aws, name="sluice", outputs=outputs_of(outputs or {}), parameters=PARAMETERS)
