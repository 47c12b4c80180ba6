"""The ``sluice watch`` process: starts its threads, and stops them in time after a signal.

It may be killed at any moment.  Besides the catalog it has only hints, and its first listing finds
what lost hints were about.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import sha256
from queue import SimpleQueue
from threading import Event

from sluice.admin.session.channel import Channel
from sluice.admin.standalone.index import DEFAULTS as INDEX_DEFAULTS
from sluice.admin.standalone.index import IndexOptions
from sluice.admin.watch.authentication import NOBODY, Credentials
from sluice.admin.watch.channel_indexer import ChannelIndexer
from sluice.admin.watch.election import Election
from sluice.admin.watch.http_server import HttpServer
from sluice.admin.watch.journal import Journal
from sluice.admin.watch.lease import Lease, Role
from sluice.admin.watch.metrics import WatchMetrics
from sluice.admin.watch.receiver import Receiver, WatchStatus
from sluice.admin.watch.schedule import ChannelSchedule
from sluice.admin.watch.stack_trace import require_no_stack
from sluice.admin.watch.worker import ChannelWorker
from sluice.errors import Misused
from sluice.extract.handler import ConfigChange, route_event
from sluice.layout import watch_lease_key
from sluice.limits import (
    WATCH_DEBOUNCE_SECONDS,
    WATCH_POLL_SECONDS,
    WATCH_POLL_UNNOTIFIED_SECONDS,
    WATCH_STOP_SECONDS,
)
from sluice.messages.s3_event import ObjectEvent
from sluice.telemetry import LogLine


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """The options of the process."""

    poll_seconds: float | None = None
    """Seconds between two listings; ``None``: 300, or 30 if no events are received."""
    debounce_seconds: float = WATCH_DEBOUNCE_SECONDS
    """Seconds of a window, in which the uploads of a burst share a merge."""
    listen: str = "127.0.0.1:8080"
    credentials: Credentials = NOBODY
    """What senders of events have to show."""
    anonymous: bool = False
    """Whether senders need not show anything."""
    leader: bool = False
    """Whether one of all processes works, and the others wait."""
    beside_stack: bool = False
    """Whether the state may be one that a stack writes."""
    index: IndexOptions = INDEX_DEFAULTS

    @property
    def accepts_events(self) -> bool:
        """Whether events are received."""
        return self.anonymous or not self.credentials.is_empty

    @property
    def poll_or_default(self) -> float:
        """Seconds between two listings."""
        if self.poll_seconds is not None:
            return self.poll_seconds
        return WATCH_POLL_SECONDS if self.accepts_events else WATCH_POLL_UNNOTIFIED_SECONDS


class _Command(Enum):
    STOP = auto()
    LIST = auto()


class Watch:
    """The process that watches channels."""

    def __init__(
        self,
        channels: Sequence[Channel],
        options: WatchOptions,
        journal: Journal,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ``Misused`` if a channel is named twice, or channels have different states."""
        names = [f"s3://{channel.bucket}/{channel.name}" for channel in channels]
        if len(set(names)) < len(names):
            raise Misused("the same channel is given more than once")
        self._channels = channels
        self._options = options
        self._journal = journal
        self._monotonic = monotonic
        self._metrics = WatchMetrics()
        # Its ``put`` may interrupt itself, so a signal handler may call it; a lock's may not.
        self._commands: SimpleQueue[_Command] = SimpleQueue()
        self._crashed = Event()
        self._is_ending = False
        self._is_active = False
        self._workers = [
            ChannelWorker(
                indexer=ChannelIndexer(channel, options.index, monotonic),
                schedule=ChannelSchedule(options.poll_or_default, options.debounce_seconds),
                journal=journal,
                metrics=self._metrics,
                monotonic=monotonic,
                on_crash=self._crash,
            )
            for channel in channels
        ]
        self._workers_by_place = {
            (channel.bucket, channel.name): worker
            for channel, worker in zip(channels, self._workers, strict=True)
        }
        receiver = Receiver(
            credentials=None if options.anonymous else options.credentials,
            accepts_events=options.accepts_events,
            hint=self._hint,
            why_refused=self._why_refused,
            status=WatchStatus(is_alive=self._is_alive, why_not_ready=self._why_not_ready),
            metrics=self._metrics,
        )
        self._server = HttpServer(receiver, options.listen)
        first = channels[0]
        lease = Lease(first.state, self._lease_key(names), first.new_id(), monotonic, first.clock)
        self._election = (
            Election(lease, journal, self._take_role, self._crash) if options.leader else None
        )

    def prepare(self) -> None:
        """Check what must be so before anything is written.

        Raises ``Misused`` if a stack writes the state, ``Unsupported`` if the server has no
        conditional writes, and ``Unavailable``.
        """
        if not self._options.beside_stack:
            require_no_stack(self._channels[0])
        for channel in self._channels:
            if channel.probed:
                channel.probed.start_check(channel.executor)()

    def run(self) -> bool:
        """Work until ``stop`` is called; whether all that was under way has been finished.

        Returns within 20 s of that.  Raises ``Misused`` if nobody can listen at the address, and
        ``RuntimeError`` if a thread has ended by an error.
        """
        port = self._server.start()
        fields = {
            "channels": [worker.address for worker in self._workers],
            "port": port,
            "receives_events": self._options.accepts_events,
            "poll_seconds": self._options.poll_or_default,
        }
        self._journal.write(LogLine("info", "watching", fields))
        for worker in self._workers:
            worker.start()
        if self._election:
            self._election.start()
        else:
            self._take_role(Role.HOLDER)
        while self._commands.get() is _Command.LIST:
            for worker in self._workers:
                worker.list_now()
        return self._end()

    def stop(self) -> None:
        """End the process.  For signal handlers and any thread."""
        self._commands.put(_Command.STOP)

    def list_now(self) -> None:
        """List every channel as soon as possible.  For signal handlers and any thread."""
        self._commands.put(_Command.LIST)

    def _end(self) -> bool:
        self._is_ending = True
        until = self._monotonic() + WATCH_STOP_SECONDS
        for worker in self._workers:
            worker.stop()
        self._server.stop()
        ended = [worker.join(until - self._monotonic()) for worker in self._workers]
        if self._election:
            self._election.stop()
        message = "ended" if all(ended) else "ended during a run, which the next process repeats"
        self._journal.write(LogLine("info", message, {}))
        if self._crashed.is_set():
            raise RuntimeError("a thread has failed: see the traceback above")
        return all(ended)

    def _crash(self) -> None:
        self._crashed.set()
        self.stop()

    def _take_role(self, role: Role) -> None:
        self._is_active = role is Role.HOLDER
        self._metrics.leader.set(int(self._is_active))
        for worker in self._workers:
            worker.set_active(active=self._is_active)

    def _hint(self, events: Sequence[ObjectEvent]) -> None:
        for event in events:
            worker = None
            target = route_event(event, bucket=event.bucket)
            if target is not None:
                channel = (
                    target.channel if isinstance(target, ConfigChange) else target.subdir.channel
                )
                worker = self._workers_by_place.get((event.bucket, channel))
            self._metrics.events.labels("hint" if worker else "ignored").inc()
            if worker and target is not None:
                worker.hint(target, event.size)

    def _is_alive(self) -> bool:
        return not self._crashed.is_set()

    def _why_refused(self) -> str | None:
        if self._is_ending:
            return "this process is shutting down"
        return None if self._is_active else "another process holds the lease"

    def _why_not_ready(self) -> str | None:
        if (reason := self._why_refused()) is not None:
            return reason
        waiting = [worker.address for worker in self._workers if not worker.has_listed]
        return f"not listed yet: {', '.join(waiting)}" if waiting else None

    @staticmethod
    def _lease_key(names: Sequence[str]) -> str:
        """The key of the lease of all processes that watch these channels."""
        return watch_lease_key(sha256("\n".join(sorted(names)).encode()).hexdigest())
