"""The Lambda functions without Lambda: what ``functions/*/app.py`` do, over the simulated world."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sluice.channel_files.merge import merge_channel
from sluice.concurrency import Gather, in_order
from sluice.errors import BrokenListing, SluiceError, Unavailable, WrongState
from sluice.extract.config_broadcast import Announcer
from sluice.extract.extract import Extractor, extract
from sluice.layout import parse_config_key, parse_package_key
from sluice.limits import MERGE_TIME_RESERVE_MS, RECONCILE_TIME_RESERVE_MS
from sluice.merge.context import Merger
from sluice.merge.merge import merge
from sluice.messages import channel_merge_request as channel_request
from sluice.messages import merge_request, s3_event
from sluice.messages.channel_merge_request import ChannelRequest
from sluice.publish.publisher import Publisher
from sluice.reconcile.context import Reconciler, Request
from sluice.reconcile.report import Report
from sluice.reconcile.run import proceed, start
from sluice.storage.deduplicating_queue import Once
from tests.simulation.system.brakes import Brakes
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.buckets import Wiring
from tests.simulation.system.clock import Clock
from tests.simulation.system.lies import LyingListings
from tests.simulation.system.queues import Delivery, Fifo, StandardQueue

OWNER = "state-bucket"
UPLOAD_RECEIVES_MAX = 5
# As in functions/*/app.py.
EXTRACT_RETRY_SECONDS, EXTRACT_RETRY_SECONDS_MAX = 15, 900
MERGE_RETRY_SECONDS_MAX = 300
RECONCILE_RETRY_SECONDS, RECONCILE_RETRY_SECONDS_MAX = 30, 600

TimeLeft = Callable[[], int]
"""ms until the function is stopped."""


class TooEarly(Exception):
    """A merge request was given back until its window has closed."""


@dataclass(frozen=True, slots=True)
class Functions:
    """What all functions are wired to."""

    wiring: Callable[[], Wiring]
    """Of the environment that handles the message: which bucket, and what it remembers."""
    listed: LyingListings
    """The channel bucket as comparisons see it."""
    state: Bucket
    uploads: StandardQueue
    merges: Fifo
    environment: Once
    """MergeQueue, as one execution environment of extract remembers it; all share it here."""
    continuations: Fifo
    clock: Clock
    unique: Callable[[], str]
    debounce_seconds: int
    retention_days: int
    brake_days: int
    brakes: Brakes
    gather: Gather
    """Of merge."""
    merge_ms: int
    """How long a merge works before it leaves the rest to another."""
    step_ms: int
    """How long a step of reconcile works before it leaves the rest to the next."""

    def extract(self, message: Delivery, skew_ms: int, _time_left_ms: TimeLeft) -> None:
        """Handle one message of UploadQueue; ``skew_ms`` is how wrong the function's clock is."""
        wired = self.wiring()
        extractor = Extractor(
            channel=wired.channel,
            state=self.state,
            queue=self.environment,
            clock=lambda: self.clock.ms + skew_ms,
            unique=self.unique,
            debounce_seconds=self.debounce_seconds,
            trust_uploader_digests=True,
            receives_max=UPLOAD_RECEIVES_MAX,
        )
        try:
            for one in s3_event.parse_body(message.body):
                channel = parse_config_key(one.key)
                if channel is not None and one.bucket == wired.name:
                    self._announcer(extractor.clock).tell_all(channel)
                key = parse_package_key(one.key)
                if key is not None and one.bucket == wired.name:
                    extract(extractor, key, size_hint=one.size, received=message.received)
        except SluiceError:
            wait = min(
                EXTRACT_RETRY_SECONDS * 4 ** (message.received - 1), EXTRACT_RETRY_SECONDS_MAX
            )
            self.uploads.change_visibility(message.receipt, wait)
            raise

    def merge(self, message: Delivery, skew_ms: int, time_left_ms: TimeLeft) -> None:
        """Handle one message of MergeQueue."""

        def clock() -> int:
            return self.clock.ms + skew_ms

        wired = self.wiring()
        merger = Merger(
            channel=wired.listed,
            state=self.state,
            bucket=wired.name,
            publisher=Publisher(wired.channel, self.state, OWNER, max_age_seconds=60),
            queue=self.merges,
            gather=self.gather,
            remembered=wired.remembered,
            clock=clock,
            unique=self.unique,
            debounce_seconds=self.debounce_seconds,
            brake_days=self.brake_days,
        )
        try:
            request = channel_request.parse(message.body) or merge_request.parse(message.body)
            early_ms = request.not_before - clock()
            if early_ms > 0:
                self.merges.change_visibility(message.receipt, -(-early_ms // 1000))
                raise TooEarly
            if isinstance(request, ChannelRequest):
                merge_channel(merger.channelwide, request.channel)
                return
            until = self.clock.ms + self.merge_ms + MERGE_TIME_RESERVE_MS
            merge(
                merger,
                request,
                time_left_ms=lambda: min(time_left_ms(), until - self.clock.ms),
            )
        except SluiceError as error:
            wait = min(2**message.received, MERGE_RETRY_SECONDS_MAX)
            self.merges.change_visibility(message.receipt, wait)
            raise self._expected(error) from error

    def start_reconcile(self, request: Request, skew_ms: int, time_left_ms: TimeLeft) -> Report:
        """Handle a direct invocation: the schedule's, or somebody's."""
        reconciler = self._reconciler(skew_ms, since=self.clock.ms)
        report = start(reconciler, request, time_left_ms=self._shortened(time_left_ms))
        return self._checked(report)

    def proceed_reconcile(self, message: Delivery, skew_ms: int, time_left_ms: TimeLeft) -> None:
        """Handle one message of ReconcileQueue."""
        try:
            since = json.loads(message.body)["started_at"]
            self._checked(
                proceed(
                    self._reconciler(skew_ms, since=since),
                    message.body,
                    time_left_ms=self._shortened(time_left_ms),
                )
            )
        except SluiceError:
            wait = min(
                RECONCILE_RETRY_SECONDS * 2 ** (message.received - 1), RECONCILE_RETRY_SECONDS_MAX
            )
            self.continuations.change_visibility(message.receipt, wait)
            raise

    def move_heads(self, channels: Iterable[str]) -> None:
        """Have every subdir of some channels look at its configuration, which moves its head."""
        for channel in channels:
            self._announcer(lambda: self.clock.ms).tell_all(channel)

    def _announcer(self, clock: Callable[[], int]) -> Announcer:
        return Announcer(
            self.state, self.merges, in_order, clock, self.unique, self.debounce_seconds
        )

    def _expected(self, error: SluiceError) -> SluiceError:
        """Where listings lie, that may well be found out."""
        found_out = isinstance(error, BrokenListing) and self.listed.has_lied
        return Unavailable(str(error)) if found_out else error

    def _reconciler(self, skew_ms: int, *, since: int) -> Reconciler:
        """``since``: when the run began, ms."""
        wired = self.wiring()
        # What was lost in a bucket of before, or in a wrong one, is not what people have lost.
        is_known = wired.listed is self.listed
        return Reconciler(
            channel=wired.listed,
            state=self.brakes.watched(self.state, since=since) if is_known else self.state,
            bucket=wired.name,
            uploads=self.uploads,
            merges=self.merges,
            continuations=self.continuations,
            gather=in_order,
            clock=lambda: self.clock.ms + skew_ms,
            unique=self.unique,
            debounce_seconds=self.debounce_seconds,
            owner=OWNER,
            retention_days=self.retention_days,
            brake_days=self.brake_days,
        )

    def _shortened(self, time_left_ms: TimeLeft) -> TimeLeft:
        until = self.clock.ms + self.step_ms
        return lambda: min(time_left_ms(), until - self.clock.ms + RECONCILE_TIME_RESERVE_MS)

    def _checked(self, report: Report) -> Report:
        """Let no failure pass that is not for want of an answer, or for a listing that lies."""
        expected = ("Unavailable", *["BrokenListing"] * self.listed.has_lied)
        for step in report.steps.values():
            for subdir in step.subdirs:
                failure = subdir.failure or ""
                right = failure.startswith(expected) or subdir.counts.wrong_state
                assert failure == "" or right, failure
        return report


EXPECTED = (Unavailable, TooEarly, WrongState)
"""What a function may raise in a world in which answers get lost and parameters are mistaken."""
