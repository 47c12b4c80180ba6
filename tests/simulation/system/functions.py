"""The Lambda functions without Lambda: the core's handlers, wired to the simulated world."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sluice.concurrency import Executor, in_order
from sluice.errors import BrokenListing, TooEarly, Unavailable, WrongState
from sluice.extract import handler as extract_handler
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.extract.extract import ExtractorContext
from sluice.extract.handler import ExtractContext
from sluice.limits import MERGE_TIME_RESERVE_MS, RECONCILE_TIME_RESERVE_MS
from sluice.merge import handler as merge_handler
from sluice.merge.context import MergeContext
from sluice.messages.delivery import Delivery
from sluice.publish.publisher import Publisher
from sluice.reconcile import handler as reconcile_handler
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.report import ReconcileReport
from sluice.storage.deduplicating_queue import DeduplicatingQueue
from tests.simulation.system.brakes import Brakes
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.buckets import Wiring
from tests.simulation.system.clock import Clock
from tests.simulation.system.lies import LyingListings
from tests.simulation.system.queues import Fifo, StandardQueue

OWNER = "state-bucket"
UPLOAD_RECEIVES_MAX = 5

TimeLeft = Callable[[], int]
"""ms until the function is stopped."""


@dataclass(frozen=True, slots=True)
class Functions:
    """What all functions are wired to."""

    wiring: Callable[[], Wiring]
    """Of the environment that handles the message: which bucket, and what it remembers."""
    listed: LyingListings
    """The channel bucket as comparisons see it."""
    state: Bucket
    uploads: StandardQueue
    slow_uploads: StandardQueue
    merges: Fifo
    environment: DeduplicatingQueue
    """MergeQueue, as one execution environment of extract remembers it; all share it here."""
    continuations: Fifo
    clock: Clock
    new_id: Callable[[], str]
    debounce_seconds: int
    retention_days: int
    brake_days: int
    brakes: Brakes
    executor: Executor
    """Of merge."""
    merge_ms: int
    """How long a merge works before it leaves the rest to another."""
    step_ms: int
    """How long a step of reconcile works before it leaves the rest to the next."""
    rejects_kept: int
    """Of one subdir, at most; with as many a comparison of it fails, once it has done its work."""

    def extract(self, message: Delivery, skew_ms: int, _time_left_ms: TimeLeft) -> None:
        """Handle one message of uploads; ``skew_ms`` is how wrong the function's clock is."""
        wired = self.wiring()
        extractor = ExtractorContext(
            channel=wired.channel,
            state=self.state,
            merge_queue=self.environment,
            executor=in_order,
            clock=lambda: self.clock.ms + skew_ms,
            new_id=self.new_id,
            debounce_seconds=self.debounce_seconds,
            trust_uploader_digests=True,
            receives_max=UPLOAD_RECEIVES_MAX,
        )
        ctx = ExtractContext(
            extractor, self.uploads, self.slow_uploads, self.slow_uploads.name, wired.name
        )
        extract_handler.run(message, ctx)

    def merge(self, message: Delivery, skew_ms: int, time_left_ms: TimeLeft) -> None:
        """Handle one message of MergeQueue."""
        wired = self.wiring()
        ctx = MergeContext(
            channel=wired.listed,
            state=self.state,
            bucket=wired.name,
            publisher=Publisher(wired.channel, self.state, OWNER, max_age_seconds=60),
            merge_queue=self.merges,
            executor=self.executor,
            warm_cache=wired.remembered,
            clock=lambda: self.clock.ms + skew_ms,
            new_id=self.new_id,
            debounce_seconds=self.debounce_seconds,
            brake_days=self.brake_days,
        )
        until = self.clock.ms + self.merge_ms + MERGE_TIME_RESERVE_MS
        try:
            handled = merge_handler.run(
                message, ctx, time_left_ms=lambda: min(time_left_ms(), until - self.clock.ms)
            )
        except BrokenListing as error:
            if self.listed.has_lied:  # which may well be found out
                raise Unavailable(str(error)) from error
            raise
        if handled.is_early:
            raise TooEarly

    def start_reconcile(
        self, request: ReconcileRequest, skew_ms: int, time_left_ms: TimeLeft
    ) -> ReconcileReport:
        """Handle a direct invocation: the schedule's, or somebody's.

        Whether a run is under way is not asked: that two at once do no harm is to be shown.  How
        one is kept from starting twice is shown by ``test_interleaved_starts``.
        """
        ctx = self._reconciler(skew_ms, since=self.clock.ms)
        time_left_ms = self._shortened(time_left_ms)
        return self._checked(reconcile_handler.start_run(ctx, request, time_left_ms=time_left_ms))

    def proceed_reconcile(self, message: Delivery, skew_ms: int, time_left_ms: TimeLeft) -> None:
        """Handle one message of ReconcileQueue."""
        ctx = self._reconciler(skew_ms, since=json.loads(message.body)["started_at"])
        time_left_ms = self._shortened(time_left_ms)
        self._checked(reconcile_handler.run(message, ctx, time_left_ms=time_left_ms))

    def move_heads(self, channels: Iterable[str]) -> None:
        """Have every subdir of some channels look at its configuration, which moves its head."""
        runtime = self._reconciler(0, since=self.clock.ms)
        for channel in channels:
            ConfigBroadcast(runtime).notify_all(channel)

    def _reconciler(self, skew_ms: int, *, since: int) -> ReconcileContext:
        """``since``: when the run began, ms."""
        wired = self.wiring()
        # What was lost in a bucket of before, or in a wrong one, is not what people have lost.
        is_known = wired.listed is self.listed
        return ReconcileContext(
            channel=wired.listed,
            state=self.brakes.watched(self.state, since=since) if is_known else self.state,
            bucket=wired.name,
            uploads=self.uploads,
            merge_queue=self.merges,
            continuations=self.continuations,
            executor=in_order,
            clock=lambda: self.clock.ms + skew_ms,
            new_id=self.new_id,
            debounce_seconds=self.debounce_seconds,
            owner=OWNER,
            retention_days=self.retention_days,
            brake_days=self.brake_days,
            checks_digests=True,
            leaves_young_staging=True,
        )

    def _shortened(self, time_left_ms: TimeLeft) -> TimeLeft:
        until = self.clock.ms + self.step_ms
        return lambda: min(time_left_ms(), until - self.clock.ms + RECONCILE_TIME_RESERVE_MS)

    def _checked(self, report: ReconcileReport) -> ReconcileReport:
        """Let no failure pass but for want of an answer, false listings, or too many rejects."""
        flooded = f"{self.rejects_kept:,} or more files"
        expected = ("Unavailable", flooded, *["BrokenListing"] * self.listed.has_lied)
        for step in report.steps.values():
            for subdir in step.subdirs:
                failure = subdir.failure or ""
                right = failure.startswith(expected) or subdir.counts.wrong_state
                assert failure == "" or right, failure
        return report


EXPECTED = (Unavailable, TooEarly, WrongState)
"""What a function may raise in a world in which answers get lost and parameters are mistaken."""
