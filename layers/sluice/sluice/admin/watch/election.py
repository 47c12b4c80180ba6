"""The thread that renews the lease, and reports whether this process works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

from sluice.admin.watch.journal import Journal
from sluice.admin.watch.lease import Lease, Role
from sluice.errors import SluiceError
from sluice.limits import LEASE_RENEWAL_SECONDS
from sluice.telemetry import LogLine

_STOP_SECONDS = 3


@dataclass(slots=True)
class Election:
    """Steps a lease at intervals."""

    lease: Lease
    journal: Journal
    on_role: Callable[[Role], None]
    """Called with each new role, by the thread."""
    on_crash: Callable[[], None]
    """Called if the thread ends by an error that nobody has raised on purpose."""
    _stopping: Event = field(default_factory=Event, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the thread."""
        self._thread = Thread(target=self._run, name="sluice-watch lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give the lease up, unless the S3 takes too long: then a standby waits for the silence."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._step(self.lease.step)
                self._stopping.wait(LEASE_RENEWAL_SECONDS)
            self._step(self.lease.release)
        except BaseException:
            self.on_crash()
            raise

    def _step(self, step: Callable[[], object]) -> None:
        before = self.lease.role
        try:
            step()
        except SluiceError as error:
            fields = {"reason": f"{type(error).__name__}: {error}"}
            self.journal.write(LogLine("warning", "cannot read or write the lease", fields))
        if self.lease.role is not before:
            self.journal.write(LogLine("info", f"is now {self.lease.role.name.lower()}", {}))
            self.on_role(self.lease.role)
