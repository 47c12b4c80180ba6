"""What servers do with conditional writes, found out once and kept in the state.

A record per server and bucket says what was found.  It is written just before the first
conditional write that counts: a command that changes nothing leaves nothing, in a bucket that was
named by mistake least of all.
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
"""Of a record."""


class ProbeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one server does with conditional writes to one bucket."""

    format: int
    endpoint: str
    """URL of the server."""
    bucket: str
    if_match: IfMatchForm
    completion_is_conditional: bool
    probed_at: int
    """ms since the epoch."""

    @property
    def writes(self) -> ConditionalWrites:
        """What was found."""
        return ConditionalWrites(self.if_match, self.completion_is_conditional)


@dataclass(frozen=True, slots=True)
class ProbeRecords:
    """Where what was found about one bucket is kept."""

    state: ObjectStore
    endpoint: str
    bucket: str
    clock: Callable[[], int]
    """Now, ms since the epoch."""

    def read(self) -> ConditionalWrites | None:
        """What was found; ``None`` where nothing was, or the record is damaged.

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
        """Keep what was found.  Whoever writes one at the same time has found the same."""
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
    """What is known of a server."""

    writes: ConditionalWrites
    is_recorded: bool
    """Whether the state says so."""


class ProbedBucket:
    """One bucket, of whose server it is found out what it does.  Safe to share between threads."""

    def __init__(self, probe: ConditionalWriteProbe, records: ProbeRecords) -> None:
        self._probe = probe
        self._records = records
        self._known: _Capabilities | None = None
        self._lock = Lock()

    def conditional_writes(self) -> ConditionalWrites:
        """What the server does, for a write that is about to be made; then it is kept, too.

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
        """Know what the server does: by the record, else by trying everything.

        Raises ``Unsupported``, ``Unavailable`` and ``TooNew``.
        """
        with self._lock:
            self._load_or_probe()

    def read_record(self) -> ConditionalWrites | None:
        """What the state says; raises ``Unavailable`` and ``TooNew``."""
        return self._records.read()

    def check(self, record: Pending[ConditionalWrites | None]) -> bool:
        """Try PutObject, and everything where that is not as the record has it, or there is none.

        Tells whether there was a record, and it was wrong.  Raises what ``load_or_probe`` raises.
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
        """Try everything, whatever is known; raises ``Unsupported`` and ``Unavailable``."""
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
    """Those of a channel on an S3 that is not AWS's.  They may be one."""

    state: ProbedBucket
    public: ProbedBucket

    def start_check(self, executor: Executor) -> Callable[[], None]:
        """Begin to try the server, and return what waits for the end and raises the error.

        The state's bucket is tried each time.  The channel's is where clients read: it is tried
        once, and again where the state's shows that the server has changed.
        """
        record = executor.submit(self.state.read_record)  # before what waits for it
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
