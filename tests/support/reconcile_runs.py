"""Runs of reconcile over a ``World``, with a stand-in for extract."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from msgspec import structs

from sluice.catalog.entry import ARCHIVED_CODE
from sluice.extract import extract, staging
from sluice.extract.handler import route_event
from sluice.layout import PackageKey
from sluice.messages import merge_request, s3_event
from sluice.reconcile import report as reports
from sluice.reconcile.report import Counts, ReconcileReport, SubdirReport
from sluice.reconcile.run import ReconcileRequest, run_step, start_run
from sluice.storage.object_id import ObjectId
from tests.support.staging_records import indexed, rejected, removed
from tests.support.subdir_world import BUCKET, DEBOUNCE_SECONDS, OWNER, PLENTY_MS, World

CORRUPT = b"corrupt"
"""The first bytes of a package that extract rejects."""

TimeLeft = Callable[[], int]


class ReconcileRuns:
    """Runs of reconcile over a world, and of the functions that it sends messages to."""

    def __init__(
        self, world: World, *, owner: str = OWNER, prefixes: Iterable[str] = ("",)
    ) -> None:
        self.world = world
        self.uploads = world.system.uploads
        self.continuations = world.system.steps
        self.reconciler = replace(world.system.reconciler, owner=owner, prefixes=tuple(prefixes))

    def run(
        self, request: ReconcileRequest | None = None, *, time_left_ms: TimeLeft = lambda: PLENTY_MS
    ) -> ReconcileReport:
        """Reconcile from the first step to the last, a second later; returns its stored report."""
        self.world.tick()
        start_run(self.reconciler, request or ReconcileRequest(), time_left_ms=time_left_ms)
        while self.continuations.messages:
            self.run_step(self.continuations.messages.pop(0).body, time_left_ms=time_left_ms)
        return self.reports()[-1]

    def run_step(self, body: str, *, time_left_ms: TimeLeft = lambda: PLENTY_MS) -> ReconcileReport:
        """Take one more step, a second later."""
        self.world.tick()
        return run_step(self.reconciler, body, time_left_ms=time_left_ms)

    def reports(self) -> list[ReconcileReport]:
        """The stored reports, the oldest first."""
        keys = self.world.state.keys("reconciliations/")
        of_runs = [key for key in keys if key.count("/") == 1]
        return [reports.decode_report(self.world.state.body(key), what=key) for key in of_runs]

    def requeued_keys(self) -> list[str]:
        """The keys in the events that extract has not handled yet."""
        return [
            one.key for body in self.uploads.bodies for one in s3_event.parse_s3_event_body(body)
        ]

    def handle_requests(self) -> None:
        """Let extract handle its events and merge its requests, until both queues are empty."""
        while self.uploads.bodies:
            (event,) = s3_event.parse_s3_event_body(self.uploads.bodies.pop(0))
            key = route_event(event, bucket=BUCKET)
            assert isinstance(key, PackageKey)
            self.extract(key)
        self.world.tick(DEBOUNCE_SECONDS)  # until every window has closed
        self.world.deliver()

    def extract(self, key: PackageKey) -> None:
        """Look at an object, stage what is found and ask for a merge."""
        at = self.world.now_ms
        record = self._judge(key, at=at)
        staging.write_staging_record(
            self.world.state, key.subdir, record, unique_id=self.world.new_id()
        )
        merge_request.merge_message(
            key.subdir, now_ms=at, debounce_seconds=DEBOUNCE_SECONDS
        ).send_to(self.world.queue)

    def _judge(self, key: PackageKey, *, at: int) -> staging.StagingRecord:
        stored = self.world.channel.objects.get(key.key)
        version = extract.EXTRACTOR_VERSION
        if stored is None:
            return removed(key.filename, at=at, extractor=version)
        identity = ObjectId.from_info(stored.info)
        if stored.info.archive:
            return structs.replace(
                rejected(key.filename, identity=identity, at=at, extractor=version),
                code=ARCHIVED_CODE,
            )
        if stored.body.startswith(CORRUPT):
            return rejected(key.filename, identity=identity, at=at, extractor=version)
        record = indexed(key.filename, stored.body, identity=identity, at=at, extractor=version)
        record.record["subdir"] = key.subdir.name
        return record


def subdir_reports(report: ReconcileReport) -> list[SubdirReport]:
    """The reports about subdirs, of all steps."""
    return [subdir for step in report.steps.values() for subdir in step.subdirs]


def is_quiet(report: ReconcileReport) -> bool:
    """Tell whether a run found no issue and changed nothing."""
    quiet = Counts(subdirs=report.counts.subdirs, objects=report.counts.objects)
    return report.counts == quiet and subdir_reports(report) == []
