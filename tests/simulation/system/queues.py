"""SQS as its developer guide describes it, by the simulated clock.

Standard queues hand out any message that is visible, sometimes one twice.  FIFO queues hand out
the first of a group, unless one of the group is in flight, and drop what was sent under the same
deduplication id within five minutes.  Both count how often they handed a message out, and move it
to the dead-letter queue instead of handing it out once too often.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from sluice.concurrency import chunks
from sluice.errors import Unavailable
from sluice.limits import MESSAGES_PER_BATCH_MAX
from sluice.messages.delivery import Delivery
from testkit.memory_queue import DEDUPLICATION_SECONDS
from testkit.memory_store import Hook, LostAnswer, ignore
from tests.simulation.system.clock import SECOND, Clock

_SENT_BEFORE_FAILURE = 0.3


@dataclass(slots=True)
class Message:
    """One message in a queue."""

    body: str
    group: str
    """Or tenant; empty in UploadQueue."""
    sent_at: int
    """ms."""
    visible_at: int
    """ms; until then it is in flight."""
    waited_ms: int | None = None
    """Until it was handed out for the first time."""
    received: int = 0
    receipt: str = ""
    """Of the last time it was handed out."""


class Queue:
    """What both kinds have in common; passes two hooks as ``MemoryStore`` does."""

    def __init__(
        self, name: str, clock: Clock, rng: Random, *, visibility_seconds: int, receives_max: int
    ) -> None:
        self.name = name
        self.before: Hook = ignore
        self.after: Hook = ignore
        self.sent: Callable[[str, str], None] = ignore
        """Told of each message that was taken in: the queue's name and the body."""
        self.messages: list[Message] = []
        self.dead: list[Message] = []
        self._clock = clock
        self._rng = rng
        self._visibility_ms = visibility_seconds * SECOND
        self._receives_max = receives_max

    # --- the side of functions -------------------------------------------------------------

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``FifoQueue.change_visibility``."""
        with self._request("ChangeMessageVisibility", receipt_handle):
            message = self._in_flight(receipt_handle)
            if message is None:
                raise Unavailable(f"ChangeMessageVisibility {receipt_handle}: not in flight")
            message.visible_at = self._clock.ms + seconds * SECOND

    # --- the side of Lambda's event source mapping -----------------------------------------

    def receive(self) -> Delivery | None:
        """Hand out one message that may be handed out now."""
        while ready := [one for one in self._next() if one.visible_at <= self._clock.ms]:
            message = self._rng.choice(ready)
            if message.received == self._receives_max:
                self.messages.remove(message)
                self.dead.append(message)
                continue
            message.received += 1
            if message.waited_ms is None:
                message.waited_ms = self._clock.ms - message.sent_at
            message.receipt = f"{self.name}-{self._rng.getrandbits(32):08x}"
            message.visible_at = self._clock.ms + self._visibility_ms
            return Delivery(
                message.body, message.receipt, message.received, self.name, message.waited_ms
            )
        return None

    def delete(self, receipt: str) -> None:
        """Forget a message that was handled."""
        message = self._in_flight(receipt)
        if message is not None:
            self.messages.remove(message)

    def next_visible(self) -> int | None:
        """When there is, or has been, something to hand out; ms."""
        return min((message.visible_at for message in self._next()), default=None)

    def _next(self) -> Collection[Message]:
        """The messages that nothing but their visibility keeps from being handed out."""
        return self.messages

    def _in_flight(self, receipt: str) -> Message | None:
        return next(
            (
                message
                for message in self.messages
                if message.receipt == receipt and message.visible_at > self._clock.ms
            ),
            None,
        )

    def _take(self, body: str, group: str) -> None:
        now = self._clock.ms
        self.messages.append(Message(body, group, sent_at=now, visible_at=now))
        self.sent(self.name, body)

    @contextmanager
    def _request(self, operation: str, key: str) -> Iterator[None]:
        try:
            self.before(operation, key)
            yield
            self.after(operation, key)
        except LostAnswer as error:
            raise Unavailable(f"{operation} {key}: no answer") from error


class StandardQueue(Queue):
    """UploadQueue, and SlowUploadQueue, which is one without order as well."""

    duplicates = 0.0
    """How likely a message stays visible when it is handed out."""

    def put(self, body: str) -> None:
        """Take in what S3 sends, which is no request of any function."""
        self._take(body, "")

    def send_all(self, bodies: Sequence[str]) -> None:
        """See ``UploadQueue.send_all``; of a batch that fails, some may have been sent."""
        for batch in chunks(bodies, MESSAGES_PER_BATCH_MAX):
            try:
                with self._request("SendMessageBatch", self.name):
                    for body in batch:
                        self.put(body)
            except Unavailable:
                for body in batch:
                    if self._rng.random() < _SENT_BEFORE_FAILURE:
                        self.put(body)
                raise

    def send_for(self, tenant: str, body: str) -> None:
        """See ``FairQueue.send_for``; fairness is left to chance."""
        with self._request("SendMessage", tenant):
            self._take(body, tenant)

    def receive(self) -> Delivery | None:
        """Hand out one message, at least once."""
        delivery = super().receive()
        if delivery and self._rng.random() < self.duplicates:
            message = self._in_flight(delivery.receipt_handle)
            assert message
            message.visible_at = self._clock.ms
        return delivery


class Fifo(Queue):
    """MergeQueue and ReconcileQueue."""

    def __init__(
        self, name: str, clock: Clock, rng: Random, *, visibility_seconds: int, receives_max: int
    ) -> None:
        super().__init__(
            name, clock, rng, visibility_seconds=visibility_seconds, receives_max=receives_max
        )
        self._sent_at: dict[str, int] = {}

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        """See ``FifoQueue.send``."""
        with self._request("SendMessage", group):
            sent_at = self._sent_at.get(deduplication_id)
            now = self._clock.ms
            if sent_at is None or now - sent_at >= DEDUPLICATION_SECONDS * SECOND:
                self._sent_at[deduplication_id] = now
                self._take(body, group)

    def _next(self) -> Collection[Message]:
        first: dict[str, Message] = {}
        for message in self.messages:
            first.setdefault(message.group, message)
        return first.values()
