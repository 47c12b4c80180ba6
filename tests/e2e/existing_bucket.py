"""Buckets that existed before the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def switch_eventbridge_on(s3: S3Client, bucket: str) -> None:
    """Let a bucket tell EventBridge of its objects, as the README's command does.

    S3 replaces the whole configuration, so what is there has to be handed in again.
    """
    found = s3.get_bucket_notification_configuration(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "TopicConfigurations": found.get("TopicConfigurations", []),
            "QueueConfigurations": found.get("QueueConfigurations", []),
            "LambdaFunctionConfigurations": found.get("LambdaFunctionConfigurations", []),
            "EventBridgeConfiguration": {},
        },
    )


def versions(s3: S3Client, bucket: str) -> dict[str, list[tuple[str, str]]]:
    """Each version's id and ETag, by key; a delete marker's ETag is empty."""
    found: dict[str, list[tuple[str, str]]] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in page.get("Versions", ()):
            found.setdefault(one["Key"], []).append((one["VersionId"], one["ETag"]))
        for marker in page.get("DeleteMarkers", ()):
            found.setdefault(marker["Key"], []).append((marker["VersionId"], ""))
    return found
