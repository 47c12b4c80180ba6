"""Where MiniStack differs from AWS in what it makes of the template: put right after the deploy.

This is the one place for it; ``docs/local-aws.md`` lists what was measured, with the version.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient


def make_up_for_differences(functions: LambdaClient, iam: IAMClient) -> None:
    """Give the deployed stack what MiniStack 1.5.33 left out or got wrong."""
    _make_concurrency_a_number(functions)
    _allow_batches(iam)


def _make_concurrency_a_number(functions: LambdaClient) -> None:
    """``MaximumConcurrency`` arrives as the text that every template parameter is.

    MiniStack compares it with a number, which ends each round of its poller before any queue is
    polled.
    """
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if scaling := mapping.get("ScalingConfig"):
            functions.update_event_source_mapping(
                UUID=mapping["UUID"],
                ScalingConfig={"MaximumConcurrency": int(scaling["MaximumConcurrency"])},
            )


def _allow_batches(iam: IAMClient) -> None:
    """Where policies are enforced, MiniStack asks for ``sqs:SendMessageBatch``.

    AWS knows no such action: who may send messages may send ten at once.
    """
    for role in (found["RoleName"] for found in iam.list_roles()["Roles"]):
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            policy: Any = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in policy["Statement"]:
                given = statement["Action"]
                actions = [given] if isinstance(given, str) else given
                if "sqs:SendMessage" in actions:
                    statement["Action"] = [*actions, "sqs:SendMessageBatch"]
            document = json.dumps(policy)
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)
