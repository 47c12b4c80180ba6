"""The two lanes of uploads, which keep slow packages from delaying others.

Every upload is read with small limits first.  What exceeds them is sent to the slow lane, a fair
queue with the channel as its tenant, and is read there with the full limits.  Each lane has its own
share of the account's concurrency (``template.yaml``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

from sluice.errors import LimitExceeded
from sluice.extract.extract import ExtractorContext, extract, extract_within
from sluice.extract.staging import FileVerdict
from sluice.layout import PackageKey, channel_component
from sluice.messages.delivery import Backoff
from sluice.messages.merge_request import message_group
from sluice.messages.s3_event import ObjectEvent, upload_message
from sluice.package.read_limits import FIRST_READ
from sluice.storage.queue import FairQueue, MessageQueue


class Extract(Protocol):
    """Reads one object and stages the verdict, or returns which limit it exceeds."""

    def __call__(
        self,
        ctx: ExtractorContext,
        key: PackageKey,
        *,
        size_hint: int | None,
        receive_count: int,
    ) -> FileVerdict | LimitExceeded:
        """See ``extract`` and ``extract_within``."""
        ...


@dataclass(frozen=True, slots=True)
class Lane:
    """A queue of uploads, and how its messages are handled."""

    queue: MessageQueue
    extract: Extract
    retry: Backoff
    """Delays after a failure.  The queue's visibility timeout, just above that of the function, is
    for functions that die silently."""


def first_lane(queue: MessageQueue) -> Lane:
    """The lane of UploadQueue."""
    within_limits = partial(extract_within, limits=FIRST_READ)
    return Lane(queue, within_limits, Backoff(first_seconds=15, factor=4, max_seconds=900))


def slow_lane(queue: MessageQueue) -> Lane:
    """The lane of SlowUploadQueue.

    A further try may cost ``PACKAGE_CPU_SECONDS_MAX`` again, so it comes later than in the first.
    """
    return Lane(queue, extract, Backoff(first_seconds=60, factor=4, max_seconds=3600))


def send_to_slow_lane(queue: FairQueue, key: PackageKey, event: ObjectEvent) -> None:
    """Have a package read with the full limits; raises ``Unavailable``."""
    tenant = message_group(channel_component(key.subdir.channel))
    queue.send_for(tenant, upload_message(event))
