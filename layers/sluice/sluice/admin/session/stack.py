"""A deployed stack, as CloudFormation describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from sluice.admin.session.aws import AWS_ERRORS, Aws
from sluice.channel_config import ChannelConfig
from sluice.errors import Misconfigured, NotFound, Unavailable
from sluice.settings import channel_defaults
from sluice.storage.sqs_queue import SqsQueue


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack of sluice, and the account that it is in."""

    aws: Aws
    name: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    @classmethod
    def describe(cls, aws: Aws, name: str) -> Stack:
        """Describe the stack with that name; raises ``NotFound`` and ``Unavailable``."""
        try:
            response = aws.cloudformation.describe_stacks(StackName=name)
        except AWS_ERRORS as error:
            if "does not exist" in str(error):  # a ValidationError, like many others
                raise NotFound(
                    f"the stack {name!r} does not exist in {aws.endpoint_or_region}"
                ) from error
            raise Unavailable(f"DescribeStacks {name}: {aws.explain(error)}") from error
        description = response["Stacks"][0]
        return cls(
            aws=aws,
            name=name,
            outputs={
                item["OutputKey"]: item["OutputValue"]
                for item in description.get("Outputs", [])
                if "OutputKey" in item and "OutputValue" in item
            },
            parameters={
                item["ParameterKey"]: item["ParameterValue"]
                for item in description.get("Parameters", [])
                if "ParameterKey" in item and "ParameterValue" in item
            },
        )

    @property
    def channel_bucket(self) -> str:
        """Name of the bucket whose channels the stack indexes."""
        return self.output("ChannelBucketName")

    @property
    def state_bucket(self) -> str:
        """Name of the state bucket, which is the owner in index files."""
        return self.output("StateBucketName")

    @property
    def distribution(self) -> str | None:
        """ID of the distribution in front of the channel bucket; ``None`` with ``Cdn=none``."""
        arn = self.outputs.get("DistributionArn")
        return arn.rpartition("/")[2] if arn else None

    @property
    def debounce_seconds(self) -> int:
        """Length of the window in which uploads share a merge."""
        return int(self.parameter("DebounceSeconds"))

    @property
    def defaults(self) -> ChannelConfig:
        """Defaults for what its channels' configurations do not set."""
        return channel_defaults(
            {
                "DEFAULT_OUTPUTS": self.parameter("DefaultOutputs"),
                "DEFAULT_TIMESTAMPS": self.parameter("DefaultTimestamps"),
            }
        )

    @property
    def merges(self) -> SqsQueue:
        """MergeQueue."""
        return SqsQueue(partial(getattr, self.aws, "sqs"), self.output("MergeQueueUrl"))

    def output(self, key: str) -> str:
        """The value of one of its outputs; raises ``Misconfigured`` if there is none."""
        return self._required_value(self.outputs, "output", key)

    def parameter(self, key: str) -> str:
        """The value of one of its parameters; raises ``Misconfigured``."""
        return self._required_value(self.parameters, "parameter", key)

    def _required_value(self, values: Mapping[str, str], kind: str, key: str) -> str:
        if key not in values:
            raise Misconfigured(
                f"the stack {self.name!r} has no {kind} {key}: it is not a sluice stack, or an "
                "older version deployed it"
            )
        return values[key]
