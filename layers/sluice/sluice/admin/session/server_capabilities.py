"""Capabilities of S3 servers: probed once, and recorded in the state.

There is one record per server and bucket.  It is written just before the first conditional write
that matters.  So a command that changes nothing writes nothing, especially in a bucket that was
named by mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock

import msgspec

from sluice import layout
from sluice.admin.session.conditional_write_probe import ConditionalWriteProbe
from sluice.concurrency import Executor, Pending
from sluice.conda.timestamps import Clock, EpochMs
from sluice.errors import DECODE_ERRORS, SluiceError, TooNew
from sluice.storage import object_headers
from sluice.storage.conditional_writes import ConditionalWrites, IfMatchForm
from sluice.storage.object_store import ObjectStore

FORMAT = 1
"""The format of a record."""


@dataclass(frozen=True, slots=True)
class ServerCapabilities:
    """The result of a probe."""

    writes: ConditionalWrites
    verifies_checksums: bool | None
    """Whether the server refuses a body that does not match its checksum; ``None``: not probed."""


class ProbeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How one server implements writes to one bucket."""

    format: int
    endpoint: str
    """URL of the server."""
    bucket: str
    if_match: IfMatchForm
    completion_is_conditional: bool
    probed_at: EpochMs
    """Time of the probe."""
    verifies_checksums: bool | None = None
    """Absent from the records of sluice versions that did not probe it."""

    @property
    def capabilities(self) -> ServerCapabilities:
        """The result of the probe."""
        writes = ConditionalWrites(self.if_match, self.completion_is_conditional)
        return ServerCapabilities(writes, self.verifies_checksums)


@dataclass(frozen=True, slots=True)
class ProbeRecords:
    """The record about one bucket."""

    state: ObjectStore
    endpoint: str
    bucket: str
    clock: Clock

    def read(self) -> ServerCapabilities | None:
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
                        f"{self._key} has format {version}, but this version of sluice reads "
                        f"formats up to {FORMAT}. Upgrade sluice"
                    )
                case document:
                    return msgspec.convert(document, ProbeRecord).capabilities
        except DECODE_ERRORS:
            return None

    def write(self, capabilities: ServerCapabilities) -> None:
        """Record a result.  A concurrent writer has the same result."""
        writes = capabilities.writes
        record = ProbeRecord(
            format=FORMAT,
            endpoint=self.endpoint,
            bucket=self.bucket,
            if_match=writes.if_match,
            completion_is_conditional=writes.completion_is_conditional,
            probed_at=self.clock(),
            verifies_checksums=capabilities.verifies_checksums,
        )
        self.state.put(self._key, msgspec.json.encode(record), object_headers.PRIVATE_JSON_HEADERS)

    @property
    def _key(self) -> str:
        return layout.probe_record_key(self.endpoint, self.bucket)


@dataclass(frozen=True, slots=True)
class _Known:
    """The known capabilities of a server."""

    capabilities: ServerCapabilities
    is_recorded: bool
    """Whether the state has a record of them."""


class ProbedBucket:
    """Finds out, once, how the server of one bucket handles writes.  Thread-safe."""

    def __init__(self, probe: ConditionalWriteProbe, records: ProbeRecords) -> None:
        self._probe = probe
        self._records = records
        self._known: _Known | None = None
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
                    self._records.write(known.capabilities)
                    known = self._known = replace(known, is_recorded=True)
        return known.capabilities.writes

    def sign_payloads(self) -> bool:
        """Whether signatures must cover bodies, because nothing else is known to protect them.

        Makes no request.
        """
        known = self._known
        return known is None or not known.capabilities.verifies_checksums

    def load_or_probe(self) -> None:
        """Load the record of the server, or probe the server if there is none.

        Raises ``Unsupported``, ``Unavailable`` and ``TooNew``.
        """
        with self._lock:
            self._load_or_probe()

    def read_record(self) -> ServerCapabilities | None:
        """The recorded result; raises ``Unavailable`` and ``TooNew``."""
        return self._records.read()

    def check(self, record: Pending[ServerCapabilities | None]) -> bool:
        """Probe PutObject, and everything if the result differs from the record, or there is none.

        Returns whether there was a record, and it was wrong.  Raises the errors of
        ``load_or_probe``.
        """
        with self._lock:
            form = self._probe.if_match_form()
            recorded = record()
            if recorded and recorded.writes.if_match is form:
                self._known = self._complete(recorded)
                return False
            conditional = self._probe.completion_is_conditional(form)
            self._known = self._probed(ConditionalWrites(form, conditional))
            return recorded is not None

    def probe_again(self) -> None:
        """Probe everything again; raises ``Unsupported`` and ``Unavailable``."""
        with self._lock:
            self._known = self._probed(self._probe.probe_all())

    def _load_or_probe(self) -> _Known:
        if self._known is None:
            recorded = self._records.read()
            self._known = (
                self._complete(recorded) if recorded else self._probed(self._probe.probe_all())
            )
        return self._known

    def _complete(self, recorded: ServerCapabilities) -> _Known:
        """Probe what an older sluice did not."""
        if recorded.verifies_checksums is not None:
            return _Known(recorded, is_recorded=True)
        return self._probed(recorded.writes)

    def _probed(self, writes: ConditionalWrites) -> _Known:
        """Probe the rest, once it is known how the server implements conditional writes."""
        capabilities = ServerCapabilities(writes, self._probe.verifies_checksums())
        return _Known(capabilities, is_recorded=False)


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
