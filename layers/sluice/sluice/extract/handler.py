"""The handler of the extract function: S3 events in, staging records and merge requests out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.extract.extract import ExtractorContext, extract
from sluice.extract.staging import FileVerdict
from sluice.layout import PackageKey, Subdir, parse_config_key, parse_package_key
from sluice.messages import s3_event
from sluice.messages.delivery import Backoff, Delivery, give_back
from sluice.messages.s3_event import ObjectEvent
from sluice.storage.queue import MessageQueue

RETRY = Backoff(first_seconds=15, factor=4, max_seconds=900)
"""Delays after a failed upload.  UploadQueue's visibility timeout, just above that of the function,
is for functions that die silently."""


@dataclass(frozen=True, slots=True)
class ExtractContext:
    """Dependencies of the extract function."""

    extractor: ExtractorContext
    uploads: MessageQueue
    """UploadQueue."""
    bucket: str
    """Name of the channel bucket."""
    prefixes: tuple[str, ...] = ("",)
    """Key prefixes of the subdirs whose packages are extracted."""


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """The configuration of a channel was written or deleted."""

    channel: str


@dataclass(frozen=True, slots=True)
class PackageStaged:
    """A verdict on a package, or its removal, was staged."""

    key: PackageKey
    record: FileVerdict


@dataclass(frozen=True, slots=True)
class ChannelNotified:
    """The subdirs of a channel were notified to read its configuration again."""

    channel: str
    subdirs: list[Subdir]


@dataclass(frozen=True, slots=True)
class EventIgnored:
    """The object is neither a package nor a configuration of this stack."""

    key: str


Outcome = PackageStaged | ChannelNotified | EventIgnored
"""The result of one event."""


def ignore_outcome(_outcome: Outcome) -> None:
    """Do nothing."""


def run(
    delivery: Delivery,
    ctx: ExtractContext,
    *,
    on_outcome: Callable[[Outcome], None] = ignore_outcome,
) -> None:
    """Handle one message of UploadQueue; on failure, return it to the queue and raise the error."""
    try:
        events = s3_event.parse_s3_event_body(delivery.body)
        handle_events(events, ctx, receive_count=delivery.receive_count, on_outcome=on_outcome)
    except Exception as failure:
        give_back(delivery, ctx.uploads, RETRY, failure=failure)
        raise


def handle_events(
    events: Iterable[ObjectEvent],
    ctx: ExtractContext,
    *,
    receive_count: int = 1,
    on_outcome: Callable[[Outcome], None] = ignore_outcome,
) -> None:
    """Handle events one by one; if one fails, those before it have taken effect.

    ``on_outcome`` is called after each of them.
    """
    for event in events:
        on_outcome(_handle(event, ctx, receive_count))


def route_event(
    event: ObjectEvent, *, bucket: str, prefixes: tuple[str, ...] = ("",)
) -> ConfigChange | PackageKey | None:
    """Classify an event; ``None`` if it is not about a package or a configuration."""
    if event.bucket != bucket:
        return None
    channel = parse_config_key(event.key)
    if channel is not None:
        # With any prefix: only indexed subdirs have objects in the state bucket.
        return ConfigChange(channel)
    key = parse_package_key(event.key)
    return key if key and key.subdir.prefix.startswith(prefixes) else None


def _handle(event: ObjectEvent, ctx: ExtractContext, receive_count: int) -> Outcome:
    match route_event(event, bucket=ctx.bucket, prefixes=ctx.prefixes):
        case ConfigChange(channel):
            return ChannelNotified(channel, ConfigBroadcast(ctx.extractor).notify_all(channel))
        case PackageKey() as key:
            record = extract(ctx.extractor, key, size_hint=event.size, receive_count=receive_count)
            return PackageStaged(key, record)
    return EventIgnored(event.key)
