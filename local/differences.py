"""Where MiniStack differs from AWS in what it makes of the template: put right after the deploy.

This is the one place for it; ``docs/local-aws.md`` lists what was measured, with the version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


def make_up_for_differences(functions: LambdaClient) -> None:
    """Give the deployed stack what MiniStack 1.5.33 left out or got wrong.

    ``MaximumConcurrency`` arrives as the text that every template parameter is.  MiniStack
    compares it with a number, which ends each round of its poller before any queue is polled.
    """
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if scaling := mapping.get("ScalingConfig"):
            functions.update_event_source_mapping(
                UUID=mapping["UUID"],
                ScalingConfig={"MaximumConcurrency": int(scaling["MaximumConcurrency"])},
            )
