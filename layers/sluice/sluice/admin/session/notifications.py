"""The notifications of a stack's channel bucket, compared with those that the stack needs.

A bucket has one notification configuration, which S3 replaces as a whole: a new one
may leave sluice's entries out, and then no event arrives.  Reconcile makes up for that, a day late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from sluice.admin.session.aws import AWS_ERRORS, is_access_denied
from sluice.admin.session.stack import Stack
from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.errors import Unavailable
from sluice.layout import SLUICE_TOML

_CHANGES = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")
NEEDED = (
    *((event, suffix) for event in _CHANGES for suffix in (*PACKAGE_SUFFIXES, SLUICE_TOML)),
    *(("s3:ObjectRestore:*", suffix) for suffix in PACKAGE_SUFFIXES),
)
"""The events that UploadQueue gets from a bucket that the stack has made, each with how the keys of
its objects end."""


class Notifications(msgspec.Struct, frozen=True, kw_only=True):
    """What a bucket sends, compared with what its stack needs."""

    needed: str
    """``eventbridge`` for a bucket that existed before the stack, otherwise ``sqs``."""
    missing: list[str]
    """What the bucket does not send: ``eventbridge``, or events and how the keys of their objects
    end, as ``s3:ObjectCreated:* .conda``."""
    unread: str | None
    """Why the configuration could not be read; ``None`` if it was read."""


def read_notifications(stack: Stack) -> Notifications:
    """Read the notification configuration of a stack's channel bucket, and compare it.

    Raises ``Unavailable``, but not for want of rights, which the result says.
    """
    uses_eventbridge = bool(stack.parameters.get("ExistingChannelBucketName"))
    needed = "eventbridge" if uses_eventbridge else "sqs"
    bucket = stack.channel_bucket
    try:
        configuration = stack.aws.s3_configuration.get_bucket_notification_configuration(
            Bucket=bucket
        )
    except AWS_ERRORS as error:
        if is_access_denied(error):
            return Notifications(needed=needed, missing=[], unread=str(error))
        raise Unavailable(
            f"GetBucketNotificationConfiguration {bucket}: {stack.aws.explain(error)}"
        ) from error
    missing = missing_notifications(
        configuration,
        queue_url=None if uses_eventbridge else stack.output("UploadQueueUrl"),
        prefixes=tuple(stack.parameters.get("ChannelPrefixes", "").split(",")),
    )
    return Notifications(needed=needed, missing=missing, unread=None)


def missing_notifications(
    configuration: Mapping[str, Any], *, queue_url: str | None, prefixes: Sequence[str] = ("",)
) -> list[str]:
    """What a configuration lacks, as S3 returns it.

    ``queue_url``: UploadQueue, if the events are to be sent there; ``None``: to EventBridge.
    ``prefixes``: only keys that begin with one of these count.
    """
    if queue_url is None:
        return [] if "EventBridgeConfiguration" in configuration else ["eventbridge"]
    sent = list(_sent_to(queue_url, configuration.get("QueueConfigurations", ())))
    return [
        f"{event} {suffix}"
        for event, suffix in NEEDED
        if not all(
            any(_covers(rule, event=event, prefix=prefix, suffix=suffix) for rule in sent)
            for prefix in prefixes
        )
    ]


def _sent_to(
    queue_url: str, configurations: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[Sequence[str], Mapping[str, str]]]:
    """The events, and the filter's rules, of each configuration for a queue."""
    account, name = queue_url.rstrip("/").rsplit("/", 2)[1:]
    for one in configurations:
        if one["QueueArn"].split(":")[-2:] == [account, name]:
            rules = one.get("Filter", {}).get("Key", {}).get("FilterRules", ())
            yield one["Events"], {rule["Name"].lower(): rule["Value"] for rule in rules}


def _covers(
    rule: tuple[Sequence[str], Mapping[str, str]], *, event: str, prefix: str, suffix: str
) -> bool:
    events, filters = rule
    return (
        event in events
        and prefix.startswith(filters.get("prefix", ""))
        and suffix.endswith(filters.get("suffix", ""))
    )
