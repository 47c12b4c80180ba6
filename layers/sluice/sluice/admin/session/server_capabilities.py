"""How servers implement conditional writes, probed once and recorded in the state.

There is one record per server and bucket.  It is written just before the first conditional write
that matters.  So a command that changes nothing writes nothing, especially in a bucket that was
named by mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock

import msgspec

from sluice import layout
from sluice.admin.session.conditional_write_probe import ConditionalWriteProbe
from sluice.concurrency import Executor, Pending
from sluice.errors import DECODE_ERRORS, SluiceError, TooNew
from sluice.storage import object_headers
from sluice.storage.conditional_writes import ConditionalWrites, IfMatchForm
from sluice.storage.object_store import ObjectStore

FORMAT = 1
"""The format of a record."""


class ProbeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How one server implements conditional writes to one bucket."""

    format: int
    endpoint: str
    """URL of the server."""
    bucket: str
    if_match: IfMatchForm
    completion_is_conditional: bool
    probed_at: int
    """Time of the probe, ms since the epoch."""

    @property
    def writes(self) -> ConditionalWrites:
        """The result of the probe."""
        return ConditionalWrites(self.if_match, self.completion_is_conditional)


@dataclass(frozen=True, slots=True)
class ProbeRecords:
    """The record about one bucket."""

    state: ObjectStore
    endpoint: str
    bucket: str
    clock: Callable[[], int]
    """The current time, ms since the epoch."""

    def read(self) -> ConditionalWrites | None:
        """The recorded result; ``None`` if there is none, or the record is damaged.

        Raises ``TooNew``.
        """
        stored = self.state.get(self._key)
        if stored is None:
            return None
        try:
            match msgspec.json.decode(stored.body):
                case {"format": int(version)} if version > FORMAT:
                    raise TooNew(
                        f"{self._key} has format {version}, this sluice knows up to {FORMAT}"
                    )
                case document:
                    return msgspec.convert(document, ProbeRecord).writes
        except DECODE_ERRORS:
            return None

    def write(self, writes: ConditionalWrites) -> None:
        """Record a result.  A concurrent writer has the same result."""
        record = ProbeRecord(
            format=FORMAT,
            endpoint=self.endpoint,
            bucket=self.bucket,
            if_match=writes.if_match,
            completion_is_conditional=writes.completion_is_conditional,
            probed_at=self.clock(),
        )
        self.state.put(self._key, msgspec.json.encode(record), object_headers.PRIVATE_JSON_HEADERS)

    @property
    def _key(self) -> str:
        return layout.probe_record_key(self.endpoint, self.bucket)


@dataclass(frozen=True, slots=True)
class _Capabilities:
    """The known capabilities of a server."""

    writes: ConditionalWrites
    is_recorded: bool
    """Whether the state has a record of them."""


class ProbedBucket:
    """Finds out, once, how the server of one bucket handles conditional writes.  Thread-safe."""

    def __init__(self, probe: ConditionalWriteProbe, records: ProbeRecords) -> None:
        self._probe = probe
        self._records = records
        self._known: _Capabilities | None = None
        self._lock = Lock()

    def conditional_writes(self) -> ConditionalWrites:
        """The server's behavior, for the next write; records it, too.

        Raises ``Unsupported``, ``Unavailable`` and ``TooNew``.
        """
        known = self._known
        if known is None or not known.is_recorded:
            with self._lock:
                known = self._load_or_probe()
                if not known.is_recorded:
                    self._records.write(known.writes)
                    known = self._known = _Capabilities(known.writes, is_recorded=True)
        return known.writes

    def load_or_probe(self) -> None:
        """Load the record of the server, or probe the server if there is none.

        Raises ``Unsupported``, ``Unavailable`` and ``TooNew``.
        """
        with self._lock:
            self._load_or_probe()

    def read_record(self) -> ConditionalWrites | None:
        """The recorded result; raises ``Unavailable`` and ``TooNew``."""
        return self._records.read()

    def check(self, record: Pending[ConditionalWrites | None]) -> bool:
        """Probe PutObject, and everything if the result differs from the record, or there is none.

        Returns whether there was a record, and it was wrong.  Raises the errors of
        ``load_or_probe``.
        """
        with self._lock:
            form = self._probe.if_match_form()
            recorded = record()
            if recorded and recorded.if_match is form:
                self._known = _Capabilities(recorded, is_recorded=True)
                return False
            conditional = self._probe.completion_is_conditional(form)
            self._known = _Capabilities(ConditionalWrites(form, conditional), is_recorded=False)
            return recorded is not None

    def probe_again(self) -> None:
        """Probe everything again; raises ``Unsupported`` and ``Unavailable``."""
        with self._lock:
            self._known = _Capabilities(self._probe.probe_all(), is_recorded=False)

    def _load_or_probe(self) -> _Capabilities:
        if self._known is None:
            recorded = self._records.read()
            writes = recorded or self._probe.probe_all()
            self._known = _Capabilities(writes, is_recorded=recorded is not None)
        return self._known


@dataclass(frozen=True, slots=True)
class ProbedBuckets:
    """The buckets of a channel on an S3 that is not AWS's.  They may be the same bucket."""

    state: ProbedBucket
    public: ProbedBucket

    def start_check(self, executor: Executor) -> Callable[[], None]:
        """Start to probe the server; returns a function that waits and raises the error.

        The state's bucket is probed each time.  The channel's bucket, which clients read, is probed
        once, and again if the state's shows that the server has changed.
        """
        record = executor.submit(self.state.read_record)  # before the call that waits for it
        state_check = executor.submit(partial(self.state.check, record))
        public_probe = (
            executor.submit(self.public.load_or_probe) if self.public is not self.state else None
        )

        def wait() -> None:
            try:
                has_changed = state_check()
            except SluiceError:
                if public_probe:
                    with suppress(SluiceError):  # the first error is enough, but a trial has to end
                        public_probe()
                raise
            if public_probe:
                public_probe()
                if has_changed:
                    self.public.probe_again()

        return wait
