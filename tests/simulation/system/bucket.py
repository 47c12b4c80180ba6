"""A bucket that tells of each change, and in which a request can land after its sender gave up.

Each change names the sender of its request, also where it lands while others are at work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from sluice.concurrency import chunks
from sluice.errors import Unavailable
from sluice.limits import KEYS_PER_DELETE_MAX
from sluice.storage.object_store import ETag, ObjectHeaders
from testkit.memory_store import MemoryStore, Stored
from tests.simulation.system.clock import MINUTE, Clock

_DELETED_BEFORE_FAILURE = 0.3
Watch = Callable[[str, Stored | None, Stored | None, object], None]
"""Called with a key, what was there, what is there now, and the sender of the request."""


class Bucket(MemoryStore):
    """``MemoryStore`` with a network in front of it."""

    def __init__(self, clock: Clock, rng: Random, *, page_size: int) -> None:
        super().__init__(clock.seconds, page_size=page_size)
        self.watch: Watch = lambda _key, _before, _after, _sender: None
        self.sender: Callable[[], object] = lambda: None
        """Gives the sender of the request that is being made; ``None`` for nobody in particular."""
        self.late = 0.0
        """How likely a write without an answer lands (again) in the next minutes."""
        self.garbles = 0.0
        """How likely a part of an object is answered with the part that was asked for before."""
        self._parts: dict[str, bytes] = {}
        """The last part of each object that somebody has asked for."""
        self._clock_ms = clock
        self._rng = rng
        self._late_senders: list[object] = []
        """Of the request that lands late, while it does."""

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """See ``ObjectStore.get_range``; a proxy may remember parts without regard to ranges."""
        part = super().get_range(key, start, length)
        if part is None:
            return None
        if self.garbles and key in self._parts and self._rng.random() < self.garbles:
            return self._parts[key]
        self._parts[key] = part
        return part

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``."""
        try:
            super().put(key, body, headers)
        except Unavailable:
            self._land_later(partial(self._write, key, body, headers))
            raise

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        not_after_ms: int | None = None,
    ) -> ETag | None:
        """See ``ObjectStore.put_if``."""
        etag = super().put_if(key, body, headers, expected=expected, not_after_ms=not_after_ms)
        if etag is None:
            self._land_later(partial(self._write_if, key, body, headers, expected))
        return etag

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``; what fails may have deleted some of the keys."""
        for chunk in chunks(keys, KEYS_PER_DELETE_MAX):
            try:
                with self._request("DeleteObjects", chunk[0]):
                    self._delete(chunk)
            except Unavailable:
                self._delete([key for key in chunk if self._rng.random() < _DELETED_BEFORE_FAILURE])
                self._land_later(partial(self._delete, chunk))
                raise

    @property
    def lands_late(self) -> bool:
        """Whether the change that is being told is of a request whose sender had no answer."""
        return bool(self._late_senders)

    def _land_later(self, request: Callable[[], object]) -> None:
        if self._rng.random() < self.late:
            delay = self._rng.randrange(2 * MINUTE)
            self._clock_ms.after(delay, partial(self._land, request, self.sender()))

    def _land(self, request: Callable[[], object], sender: object) -> None:
        self._late_senders.append(sender)
        try:
            request()
        finally:
            self._late_senders.pop()

    def _tell(self, key: str, before: Stored | None, after: Stored | None) -> None:
        sender = self._late_senders[-1] if self._late_senders else self.sender()
        self.watch(key, before, after, sender)

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            stored = self.objects.pop(key, None)
            if stored:
                self._tell(key, stored, None)

    def _write_if(
        self, key: str, body: bytes, headers: ObjectHeaders, expected: ETag | None
    ) -> None:
        stored = self.objects.get(key)
        if (stored.info.etag if stored else None) == expected:
            self._write(key, body, headers)

    def _write(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        etag: ETag | None = None,
        encryption: str | None = "AES256",
    ) -> ETag:
        before = self.objects.get(key)
        written = super()._write(key, body, headers, etag=etag, encryption=encryption)
        self._tell(key, before, self.objects[key])
        return written
