"""How people open a channel of the simulated world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sluice.admin.session.channel import Channel
from sluice.concurrency import in_order
from sluice.storage.queue import FifoQueue
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.buckets import Wiring
from tests.simulation.system.clock import Clock
from tests.simulation.system.functions import OWNER


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens channels in the bucket that the stack's parameters lead to."""

    wiring: Callable[[], Wiring]
    state: Bucket
    merges: FifoQueue
    clock: Clock
    new_id: Callable[[], str]
    debounce_seconds: int

    def open(self, name: str, skew_ms: int) -> Channel:
        """Open a channel; ``skew_ms`` is how wrong the person's clock is."""
        wired = self.wiring()
        return Channel(
            bucket=wired.name,
            name=name,
            public=wired.channel,
            state=self.state,
            executor=in_order,
            clock=lambda: self.clock.ms + skew_ms,
            new_id=self.new_id,
            owner=OWNER,
            merges=self.merges,
            debounce_seconds=self.debounce_seconds,
        )
