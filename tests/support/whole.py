"""All of sluice on two buckets in memory: its functions take turns until there is nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from sluice.channel_files.merge import merge_channel
from sluice.concurrency import in_order
from sluice.extract.extract import Extractor, extract
from sluice.extract.staging import Staged
from sluice.layout import Subdir, parse_package_key
from sluice.merge.context import Merger
from sluice.merge.merge import merge
from sluice.merge.outcome import MergeReport
from sluice.messages import channel_merge_request as channel_request
from sluice.messages import merge_request, s3_event
from sluice.publish.publisher import Publisher
from sluice.reconcile.run import Reconciler, Report, Request, proceed, start
from testkit.memory_queue import MemoryFeed, MemoryQueue
from testkit.memory_store import MemoryStore
from tests.support.published import Index, read_index

_BUCKET = "channel"
_OWNER = "state"
_DEBOUNCE_SECONDS = 10
_PLENTY_MS = 900_000


class Sluice:
    """Two buckets, the queues between the functions, and the functions."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        """Time passes with ``tick``, and until the window of a merge has closed."""
        self.channel = MemoryStore(self._seconds)
        self.state = MemoryStore(self._seconds)
        self.merges = MemoryQueue(self._seconds)
        self.uploads = MemoryFeed()
        self.steps = MemoryQueue(self._seconds)
        self.reports: list[MergeReport] = []
        """Of all merges so far."""
        self._unique = count()
        self.extractor = Extractor(
            channel=self.channel,
            state=self.state,
            queue=self.merges,
            clock=self._now,
            unique=self._next,
            debounce_seconds=_DEBOUNCE_SECONDS,
            trust_uploader_digests=True,
            receives_max=3,
        )
        self.merger = Merger(
            channel=self.channel,
            state=self.state,
            bucket=_BUCKET,
            publisher=Publisher(self.channel, self.state, _OWNER, max_age_seconds=60),
            queue=self.merges,
            gather=in_order,
            clock=self._now,
            unique=self._next,
            debounce_seconds=_DEBOUNCE_SECONDS,
        )
        self.reconciler = Reconciler(
            channel=self.channel,
            state=self.state,
            bucket=_BUCKET,
            uploads=self.uploads,
            merges=self.merges,
            continuations=self.steps,
            gather=in_order,
            clock=self._now,
            unique=self._next,
            debounce_seconds=_DEBOUNCE_SECONDS,
            owner=_OWNER,
            retention_days=7,
        )

    # --- what happens -----------------------------------------------------------------------

    def tick(self, seconds: int = 1) -> None:
        """Let time pass."""
        self.now_ms += seconds * 1000

    def upload(self, files: Mapping[str, bytes]) -> None:
        """Put files there, by key, as somebody else does."""
        for key, body in files.items():
            self.channel.upload(key, body)

    def extract(self, key: str) -> Staged:
        """Have one package looked at."""
        package = parse_package_key(key)
        assert package
        return extract(self.extractor, package)

    def settle(self) -> None:
        """Let the functions work until all queues are empty."""
        while self.uploads.bodies or self.steps.messages or self.merges.messages:
            self.tick(_DEBOUNCE_SECONDS)
            while self.uploads.bodies:
                for event in s3_event.parse_body(self.uploads.bodies.pop(0)):
                    self.extract(event.key)
            while self.steps.messages:
                proceed(self.reconciler, self.steps.messages.pop(0).body, time_left_ms=_plenty)
            self.merge_all()

    def merge_all(self) -> None:
        """Carry out every request for a merge, and those that follow from them."""
        while self.merges.messages:
            body = self.merges.messages.pop(0).body
            if asked := channel_request.parse(body):
                self.now_ms = max(self.now_ms, asked.not_before)
                merge_channel(self.merger.channelwide, asked.channel)
                continue
            request = merge_request.parse(body)
            # Not before its window has closed: what else is staged in there asks under the same id.
            self.now_ms = max(self.now_ms, request.not_before)
            self.reports.append(merge(self.merger, request, time_left_ms=_plenty))

    def reconcile(self, request: Request | None = None) -> Report:
        """Run reconcile, over everything by default, and let the functions do what it asks for."""
        self.tick(_DEBOUNCE_SECONDS)
        report = start(self.reconciler, request or Request(), time_left_ms=_plenty)
        self.settle()
        return report

    # --- what can be seen -------------------------------------------------------------------

    def body(self, subdir: Subdir, file: str) -> bytes:
        """A file of a subdir's folder."""
        return self.channel.body(subdir.public(file))

    def index(self, subdir: Subdir) -> Index:
        """What clients read, in each way that there is."""
        return read_index(lambda file: self.body(subdir, file))

    def _now(self) -> int:
        return self.now_ms

    def _seconds(self) -> float:
        return self.now_ms / 1000

    def _next(self) -> str:
        return str(next(self._unique))


def _plenty() -> int:
    return _PLENTY_MS
