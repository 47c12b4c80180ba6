"""The lease that decides which of several processes works.

It is one object.  Its holder rewrites it every 15 seconds, against the version that it wrote last.
A standby that sees the same version for 45 seconds of its own clock replaces exactly that one.  No
clock is compared with another's, and no time in the object decides anything.

Nothing rests on a lease but money: commits are compare-and-swap, so two holders at once do the same
work twice.  Each process sends one request per interval, and one or two more as the holder changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from sluice.catalog.codec import unpack_json
from sluice.conda.timestamps import Clock, EpochMs
from sluice.errors import Corrupt, Unavailable
from sluice.limits import LEASE_SILENCE_SECONDS
from sluice.storage.object_headers import PRIVATE_JSON_HEADERS
from sluice.storage.object_store import ETag, ObjectStore, StoredObject

FORMAT = 1
"""The newest format of leases that this version reads, and the one that it writes."""


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``leases/watch/<channels>.json``."""

    holder: str | None
    """Unique to a process; ``None`` after the holder has given the lease up."""
    renewal: int
    """A number that makes each version differ from the one before it."""
    at: EpochMs
    """Time of the renewal.  For people; no decision depends on it."""
    format: int = FORMAT


class Role(Enum):
    """What a process is by its lease."""

    HOLDER = auto()
    STANDBY = auto()


@dataclass(slots=True)
class Lease:
    """The lease as one process sees it.  Call ``step`` at intervals."""

    store: ObjectStore
    key: str
    name: str
    """Unique to this process."""
    monotonic: Callable[[], float]
    """Seconds of this process's own clock."""
    clock: Clock
    role: Role = Role.STANDBY
    _etag: ETag | None = None
    """Of the version that was written or seen last."""
    _since: float = 0.0
    """When that version was written (before the request) or first seen."""
    _renewal: int = 0

    def step(self) -> Role:
        """Renew the lease, or look whether it can be taken; returns the role from now on.

        Raises ``Unavailable``, and keeps the role; a holder that could not renew for as long as
        standbys wait is one no more.
        """
        try:
            if self.role is Role.HOLDER:
                self._renew()
            else:
                self._watch()
        except Unavailable:
            if self.role is Role.HOLDER and self._silent_for() >= LEASE_SILENCE_SECONDS:
                self._stand_by(None)
            raise
        return self.role

    def release(self) -> None:
        """Give the lease up, so that a standby need not wait; raises ``Unavailable``."""
        if self.role is Role.HOLDER and self._etag is not None:
            self.store.put_if(
                self.key, self._encode(None), PRIVATE_JSON_HEADERS, expected=self._etag
            )
        self._stand_by(None)

    def _renew(self) -> None:
        if not self._write(self.monotonic()):
            self._stand_by(None)

    def _watch(self) -> None:
        stored = self.store.get(self.key)
        etag = stored.info.etag if stored else None
        now = self.monotonic()
        if stored is not None and (etag != self._etag or self._etag is None):
            self._etag, self._since = etag, now
        is_free = stored is None or self._holder(stored) is None
        if is_free or self._silent_for() >= LEASE_SILENCE_SECONDS:
            self._etag = etag
            if not self._write(now):
                self._stand_by(None)

    def _write(self, began: float) -> bool:
        """Replace exactly the last version; whether this process holds the lease then."""
        self._renewal += 1
        body = self._encode(self.name)
        written = self.store.put_if(self.key, body, PRIVATE_JSON_HEADERS, expected=self._etag)
        if written is None:  # lost, landed without an answer, or not landed
            stored = self.store.get(self.key)
            if stored is None or self._holder(stored) != self.name:
                return False
            written = stored.info.etag
            if stored.body != body:  # a version that this process wrote before
                began = self._since
        self.role, self._etag, self._since = Role.HOLDER, written, began
        return True

    def _stand_by(self, etag: ETag | None) -> None:
        self.role, self._etag, self._since = Role.STANDBY, etag, self.monotonic()

    def _silent_for(self) -> float:
        return self.monotonic() - self._since

    def _encode(self, holder: str | None) -> bytes:
        record = LeaseRecord(holder=holder, renewal=self._renewal, at=self.clock())
        return msgspec.json.encode(record)

    def _holder(self, stored: StoredObject) -> str | None:
        """Who holds the lease; of one that cannot be read, somebody."""
        try:
            record = unpack_json(stored.body, LeaseRecord, newest=FORMAT, what=self.key)
        except Corrupt:
            return ""
        return record.holder
