"""The thread that indexes one channel, and the queue of its hints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Thread

from sluice.admin.session.address import Address
from sluice.admin.standalone.report import IndexReport
from sluice.admin.watch.channel_indexer import ChannelIndexer
from sluice.admin.watch.journal import Journal
from sluice.admin.watch.metrics import WatchMetrics
from sluice.admin.watch.schedule import ChannelSchedule, ListChannel, ReadObjects, Work
from sluice.errors import SluiceError
from sluice.extract.handler import ConfigChange
from sluice.layout import PackageKey
from sluice.telemetry import LogLine

_LISTING, _EVENTS = "listing", "events"
_FAILURES_LOGGED_MAX = 10
"""Failures of one run that get a line of their own."""


@dataclass(slots=True)
class ChannelWorker:
    """Works on one channel, one run after the other, while it is active."""

    indexer: ChannelIndexer
    schedule: ChannelSchedule
    journal: Journal
    metrics: WatchMetrics
    monotonic: Callable[[], float]
    on_crash: Callable[[], None]
    """Called if the thread ends by an error that nobody has raised on purpose."""
    _changed: Condition = field(default_factory=Condition, init=False)
    _is_active: bool = field(default=False, init=False)
    _is_stopping: bool = field(default=False, init=False)
    _has_listed: bool = field(default=False, init=False)
    _thread: Thread | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        """The channel's address."""
        channel = self.indexer.channel
        return str(Address(channel.bucket, channel.name)).rstrip("/")

    @property
    def has_listed(self) -> bool:
        """Whether a listing has succeeded since this process works."""
        return self._has_listed

    # --- by any thread ----------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, which does nothing until it is active."""
        self._thread = Thread(target=self._run, name=f"sluice-watch {self.address}", daemon=True)
        self._thread.start()

    def set_active(self, *, active: bool) -> None:
        """Let it work, beginning with a listing; or have it stop after the run under way."""
        with self._changed:
            if active and not self._is_active:
                self.schedule.request_listing(now=self.monotonic())
            self._is_active = active
            self._has_listed = self._has_listed and active
            self._changed.notify_all()

    def list_now(self) -> None:
        """Have the channel listed as soon as possible."""
        with self._changed:
            self.schedule.request_listing(now=self.monotonic())
            self._changed.notify_all()

    def hint(self, target: PackageKey | ConfigChange, size: int | None) -> None:
        """Note that something happened to an object of the channel.  Makes no request.

        ``size``: in bytes, if the event had it.
        """
        with self._changed:
            match target:
                case PackageKey() as key:
                    self.schedule.hint(key, size, now=self.monotonic())
                case ConfigChange():
                    self.schedule.hint_config()
            self.metrics.pending.labels(self.address).set(self.schedule.pending)
            self._changed.notify_all()

    def stop(self) -> None:
        """Have the thread end after the run under way."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for the thread; whether it has ended."""
        if self._thread is None:
            return True
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    # --- by its own thread ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (work := self._wait_for_work()) is not None:
                self._carry_out(work)
        except BaseException:
            self.on_crash()
            raise

    def _wait_for_work(self) -> Work | None:
        with self._changed:
            while not self._is_stopping:
                now = self.monotonic()
                if self._is_active and (work := self.schedule.take(now=now)) is not None:
                    self.metrics.pending.labels(self.address).set(self.schedule.pending)
                    return work
                due_in = self.schedule.due_at() - now if self._is_active else None
                # The wait of a lock cannot be longer than some years.
                self._changed.wait(None if due_in is None else min(max(due_in, 0.0), 3600.0))
        return None

    def _carry_out(self, work: Work) -> None:
        """Run it; errors of the channel are logged, and the next run tries again."""
        is_listing = isinstance(work, ListChannel)
        began = self.monotonic()
        report: IndexReport | None = None
        error: SluiceError | None = None
        try:
            match work:
                case ListChannel():
                    report = self.indexer.list_channel()
                case ReadObjects():
                    report = self.indexer.read_objects(work)
        except SluiceError as raised:
            error = raised
        failed = error is not None or bool(report and report.failures)
        now = self.monotonic()
        with self._changed:
            if is_listing:
                self.schedule.end_listing(now=now, failed=failed)
                self._has_listed = self._has_listed or (error is None and self._is_active)
            else:
                self.schedule.end_reading(now=now, failed=failed)
        cause = _LISTING if is_listing else _EVENTS
        self._count(cause, report, failed=failed, seconds=now - began)
        self._log(cause, report, error, seconds=now - began)

    def _count(
        self, cause: str, report: IndexReport | None, *, failed: bool, seconds: float
    ) -> None:
        result = "failed" if failed else "unchanged" if report is None else "indexed"
        self.metrics.runs.labels(self.address, cause, result).inc()
        self.metrics.run_seconds.labels(cause).observe(seconds)
        if report is not None:
            self.metrics.packages_read.labels(self.address).inc(report.read)
        if cause == _LISTING and not failed:
            self.metrics.last_success.labels(self.address).set(self.indexer.channel.clock() / 1000)

    def _log(
        self, cause: str, report: IndexReport | None, error: SluiceError | None, *, seconds: float
    ) -> None:
        place: dict[str, object] = {"channel": self.address, "cause": cause}
        if error is not None:
            reason = f"{type(error).__name__}: {error}"
            self._write("error", "run failed, will be retried", **place, reason=reason)
        if report is None:
            return
        for failure in report.failures[:_FAILURES_LOGGED_MAX]:
            self._write(
                "error",
                "indexing failed, will be retried",
                **place,
                object=failure.object,
                reason=failure.reason,
            )
        for problem in report.problems:
            self._write("warning", "invalid configuration or patch", **place, reason=problem)
        for one in report.waiting:
            if one.waiting:
                self._write(
                    "warning",
                    "removals wait: confirm them with sluice index --confirm",
                    **place,
                    subdir=one.subdir,
                    digest=one.waiting.digest,
                )
        changed = [one for one in report.subdirs if one.generation or one.files_written]
        for one in changed:
            self._write(
                "info",
                "indexed",
                **place,
                subdir=one.subdir,
                generation=one.generation,
                added=one.added,
                replaced=one.replaced,
                removed=one.removed,
                rejected=one.rejected,
                files_written=one.files_written,
                seconds=round(seconds, 3),
            )
        if not changed:
            self._write("debug", "nothing to do", **place, seconds=round(seconds, 3))

    def _write(self, level: str, message: str, **fields: object) -> None:
        self.journal.write(LogLine(level, message, fields))  # type: ignore[arg-type]
