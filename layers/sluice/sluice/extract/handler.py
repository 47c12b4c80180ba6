"""The handler of the extract function: S3 events in, staging records and merge requests out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sluice.errors import LimitExceeded
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.extract.extract import ExtractorContext
from sluice.extract.lanes import Lane, first_lane, send_to_slow_lane, slow_lane
from sluice.extract.misplaced import find_misplacement
from sluice.extract.staging import FileVerdict
from sluice.layout import PackageKey, Subdir, parse_config_key, parse_package_key
from sluice.messages import s3_event
from sluice.messages.delivery import Delivery, give_back
from sluice.messages.s3_event import ObjectEvent
from sluice.storage.queue import FairQueue, MessageQueue


@dataclass(frozen=True, slots=True)
class ExtractContext:
    """Dependencies of the extract function."""

    extractor: ExtractorContext
    uploads: MessageQueue
    """UploadQueue."""
    slow_uploads: FairQueue
    """SlowUploadQueue."""
    slow_queue: str
    """Name of SlowUploadQueue, as deliveries have it."""
    bucket: str
    """Name of the channel bucket."""
    prefixes: tuple[str, ...] = ("",)
    """Key prefixes of the subdirs whose packages are extracted."""

    def lane_of(self, delivery: Delivery) -> Lane:
        """The lane that a message came from."""
        if delivery.queue == self.slow_queue:
            return slow_lane(self.slow_uploads)
        return first_lane(self.uploads)


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
class PackageDeferred:
    """A package was sent to the slow lane."""

    key: PackageKey
    reason: LimitExceeded


@dataclass(frozen=True, slots=True)
class ChannelNotified:
    """The subdirs of a channel were notified to read its configuration again."""

    channel: str
    subdirs: list[Subdir]


@dataclass(frozen=True, slots=True)
class UploadMisplaced:
    """An object that ends like a package was uploaded to where no package can be."""

    key: str
    reason: str
    """See ``Misplacement``."""


@dataclass(frozen=True, slots=True)
class EventIgnored:
    """The object is neither a package nor a configuration of this stack."""

    key: str


Outcome = PackageStaged | PackageDeferred | ChannelNotified | UploadMisplaced | EventIgnored
"""The result of one event."""


def ignore_outcome(_outcome: Outcome) -> None:
    """Do nothing."""


def run(
    delivery: Delivery,
    ctx: ExtractContext,
    *,
    on_outcome: Callable[[Outcome], None] = ignore_outcome,
) -> None:
    """Handle one message of either lane; on failure, return it to its queue and raise the error."""
    lane = ctx.lane_of(delivery)
    try:
        for event in s3_event.parse_s3_event_body(delivery.body):
            on_outcome(_handle(event, ctx, lane, receive_count=delivery.receive_count))
    except Exception as failure:
        give_back(delivery, lane.queue, lane.retry, failure=failure)
        raise


def handle_events(
    events: Iterable[ObjectEvent],
    ctx: ExtractContext,
    *,
    on_outcome: Callable[[Outcome], None] = ignore_outcome,
) -> None:
    """Handle events that came without a queue; if one fails, those before it have taken effect.

    ``on_outcome`` is called after each of them.
    """
    for event in events:
        on_outcome(_handle(event, ctx, first_lane(ctx.uploads), receive_count=1))


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


def _handle(event: ObjectEvent, ctx: ExtractContext, lane: Lane, *, receive_count: int) -> Outcome:
    match route_event(event, bucket=ctx.bucket, prefixes=ctx.prefixes):
        case ConfigChange(channel):
            return ChannelNotified(channel, ConfigBroadcast(ctx.extractor).notify_all(channel))
        case PackageKey() as key:
            verdict = lane.extract(
                ctx.extractor, key, size_hint=event.size, receive_count=receive_count
            )
            if isinstance(verdict, LimitExceeded):
                send_to_slow_lane(ctx.slow_uploads, key, event)
                return PackageDeferred(key, verdict)
            return PackageStaged(key, verdict)
    return _misplaced_upload(event, ctx) or EventIgnored(event.key)


def _misplaced_upload(event: ObjectEvent, ctx: ExtractContext) -> UploadMisplaced | None:
    """The outcome for a misplaced upload; ``None`` for a removal and outside of the prefixes."""
    is_upload = event.size is not None
    if not is_upload or event.bucket != ctx.bucket or not event.key.startswith(ctx.prefixes):
        return None
    misplacement = find_misplacement(event.key)
    return UploadMisplaced(event.key, misplacement.reason) if misplacement else None
