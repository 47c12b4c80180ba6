"""All of sluice in memory: two buckets, four queues, one clock, and the functions' handlers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import quote_plus

from sluice.concurrency import in_order
from sluice.extract import handler as extract_handler
from sluice.extract.extract import ExtractorContext
from sluice.extract.handler import ExtractContext, Outcome, PackageStaged
from sluice.extract.staging import FileVerdict
from sluice.layout import Subdir
from sluice.merge import handler as merge_handler
from sluice.merge.context import MergeContext
from sluice.merge.outcome import MergeReport
from sluice.messages.delivery import Delivery
from sluice.publish.publisher import Publisher
from sluice.reconcile import handler as reconcile_handler
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.report import ReconcileReport
from testkit.memory_queue import MemoryFeed, MemoryQueue
from testkit.memory_store import MemoryStore
from testkit.published import Index, read_index

BUCKET = "channel"
OWNER = "state"
SLOW_QUEUE = "slow-uploads"
"""Name of SlowUploadQueue."""
DEBOUNCE_SECONDS = 10
_TIME_LEFT_MS = 900_000


@dataclass
class System:
    """The buckets and queues of a stack, and its functions, which run when they are told to.

    A function whose message fails raises; its message stays in the queue.
    """

    now_ms: int
    """Time passes with ``tick``, and until the window of a merge has closed."""
    bucket: str = BUCKET
    owner: str = OWNER
    debounce_seconds: int = DEBOUNCE_SECONDS
    page_size: int = 1000
    reports: list[MergeReport] = field(default_factory=list)
    """Of all merges of subdirs so far."""

    def __post_init__(self) -> None:
        """Wire the functions; a test may replace their contexts by others."""
        self.channel = MemoryStore(self._seconds, page_size=self.page_size)
        self.state = MemoryStore(self._seconds, page_size=self.page_size)
        self.uploads = MemoryFeed()
        self.slow_uploads = MemoryFeed()
        self.merges = MemoryQueue(self._seconds)
        self.steps = MemoryQueue(self._seconds)
        self._ids = 0
        self.extractor = ExtractorContext(
            channel=self.channel,
            state=self.state,
            merge_queue=self.merges,
            executor=in_order,
            clock=self.clock,
            new_id=self.new_id,
            debounce_seconds=self.debounce_seconds,
            trust_uploader_digests=True,
            receives_max=3,
        )
        self.merger = MergeContext(
            channel=self.channel,
            state=self.state,
            bucket=self.bucket,
            publisher=Publisher(self.channel, self.state, self.owner, max_age_seconds=60),
            merge_queue=self.merges,
            executor=in_order,
            clock=self.clock,
            new_id=self.new_id,
            debounce_seconds=self.debounce_seconds,
        )
        self.reconciler = ReconcileContext(
            channel=self.channel,
            state=self.state,
            bucket=self.bucket,
            uploads=self.uploads,
            merge_queue=self.merges,
            continuations=self.steps,
            executor=in_order,
            clock=self.clock,
            new_id=self.new_id,
            debounce_seconds=self.debounce_seconds,
            owner=self.owner,
            retention_days=7,
            checks_digests=True,
            leaves_young_staging=True,
        )

    # --- what happens around the functions ----------------------------------------------------

    def clock(self) -> int:
        """Now, in ms since the epoch."""
        return self.now_ms

    def new_id(self) -> str:
        """A string that is never returned again."""
        self._ids += 1
        return f"{self._ids:032x}"

    def tick(self, seconds: int = 1) -> None:
        """Let time pass."""
        self.now_ms += seconds * 1000

    def resume(self, before: System) -> None:
        """Go on from where another system is by now; what is in its queues stays there."""
        self.now_ms, self._ids = before.now_ms, before._ids
        self.channel.objects |= before.channel.objects
        self.state.objects |= before.state.objects

    def upload(self, files: Mapping[str, bytes]) -> None:
        """Put objects into the channel bucket, by key; no event tells of them."""
        for key, body in files.items():
            self.channel.upload(key, body)

    def remove(self, *keys: str) -> None:
        """Delete objects from the channel bucket; no event tells of it."""
        for key in keys:
            self.channel.remove(key)

    def notify(self, *keys: str) -> None:
        """Have S3 send an event about each object, as it is now."""
        self.uploads.bodies += [self._event(key) for key in keys]

    # --- what the functions do ----------------------------------------------------------------

    def extract(self, key: str) -> FileVerdict:
        """Deliver an event about one package, at once; returns what was staged."""
        (outcome,) = self.deliver_upload(self._event(key))
        assert isinstance(outcome, PackageStaged), outcome
        return outcome.record

    def deliver_uploads(self) -> None:
        """Let extract handle all of UploadQueue, and then all of SlowUploadQueue."""
        for name, queue in (("", self.uploads), (SLOW_QUEUE, self.slow_uploads)):
            while queue.bodies:
                self.deliver_upload(queue.bodies[0], queue=name)
                del queue.bodies[0]

    def deliver_upload(
        self, body: str, *, queue: str = "", receive_count: int = 1
    ) -> list[Outcome]:
        """Let extract handle one message, at once; returns what came of its events."""
        outcomes: list[Outcome] = []
        delivery = Delivery(body, "receipt", receive_count, queue)
        extract_handler.run(delivery, self.extract_context(), on_outcome=outcomes.append)
        return outcomes

    def extract_context(self) -> ExtractContext:
        """What the extract function is wired to."""
        # Where a test has rewired merge to another bucket, the function gets that one, too.
        return ExtractContext(
            self.extractor, self.uploads, self.slow_uploads, SLOW_QUEUE, self.merger.bucket
        )

    def deliver_steps(self) -> None:
        """Let reconcile handle all of ReconcileQueue."""
        for delivery in _deliveries(self.steps):
            reconcile_handler.run(delivery, self.reconciler, time_left_ms=_time_left_ms)

    def deliver_merges(self) -> None:
        """Let merge handle all of MergeQueue, and wait where a window has not closed."""
        while self.merges.messages:
            message = self.merges.messages[0]
            delivery = _delivery(message.body)
            while self._merge(delivery).is_early:
                _, seconds = self.merges.visibility.pop()
                self.tick(seconds)
                delivery = replace(delivery, receive_count=delivery.receive_count + 1)
            self.merges.messages.remove(message)

    def run_until_idle(self) -> None:
        """Let the functions work until all queues are empty."""
        while not self.is_idle:
            self.tick(self.debounce_seconds)
            self.deliver_uploads()
            self.deliver_steps()
            self.deliver_merges()

    def reconcile(self, request: ReconcileRequest | None = None) -> ReconcileReport:
        """Run reconcile, over everything by default, and let the functions do what it asks for."""
        self.tick(self.debounce_seconds)
        report = self.start_reconcile(request)
        self.run_until_idle()
        return report

    def start_reconcile(self, request: ReconcileRequest | None = None) -> ReconcileReport:
        """Run reconcile, over everything by default, and leave what it asks for in the queues."""
        return reconcile_handler.start_run(
            self.reconciler, request or ReconcileRequest(), time_left_ms=_time_left_ms
        )

    # --- what can be seen ---------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether all queues are empty."""
        uploads = self.uploads.bodies or self.slow_uploads.bodies
        return not (uploads or self.steps.messages or self.merges.messages)

    def body(self, subdir: Subdir, file: str) -> bytes:
        """A file of a subdir's folder."""
        return self.channel.body(subdir.file_key(file))

    def index(self, subdir: Subdir) -> Index:
        """What clients read, in each way that there is."""
        return read_index(partial(self.body, subdir))

    # --- inside -------------------------------------------------------------------------------

    def _merge(self, delivery: Delivery) -> merge_handler.Handled:
        handled = merge_handler.run(delivery, self.merger, time_left_ms=_time_left_ms)
        if isinstance(handled.report, MergeReport):
            self.reports.append(handled.report)
        return handled

    def _event(self, key: str) -> str:
        described = {"key": quote_plus(key, safe="/")}
        about = {"bucket": {"name": self.merger.bucket}, "object": described}
        return json.dumps({"Records": [{"eventSource": "aws:s3", "s3": about}]})

    def _seconds(self) -> float:
        return self.now_ms / 1000


def _deliveries(queue: MemoryQueue) -> Iterator[Delivery]:
    """Hand out each message, and delete it once it has been handled."""
    while queue.messages:
        message = queue.messages[0]
        yield _delivery(message.body)
        queue.messages.remove(message)


def _delivery(body: str) -> Delivery:
    return Delivery(body, "receipt", receive_count=1)


def _time_left_ms() -> int:
    return _TIME_LEFT_MS
