"""A world: two buckets, four queues, the functions behind them, and people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from sluice.concurrency import in_order
from sluice.messages.delivery import Delivery
from sluice.storage.deduplicating_queue import DeduplicatingQueue
from tests.simulation.system.administrators import Administrators
from tests.simulation.system.brakes import Brakes
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.buckets import Buckets, Wiring
from tests.simulation.system.clock import MINUTE, Clock
from tests.simulation.system.functions import UPLOAD_RECEIVES_MAX, Functions, TimeLeft
from tests.simulation.system.habits import Habits
from tests.simulation.system.invariants import Invariants
from tests.simulation.system.laptops import Laptops
from tests.simulation.system.lies import LyingListings
from tests.simulation.system.opener import Opener
from tests.simulation.system.operators import Operators
from tests.simulation.system.people import People
from tests.simulation.system.queues import Fifo, Queue, StandardQueue
from tests.simulation.system.retirements import Retirements
from tests.support.deferred_executor import deferred

RECONCILE_TIMEOUT_MS = 15 * MINUTE
_TIMEOUT_MS = 5 * MINUTE

Handler = Callable[[Delivery, int, TimeLeft], None]


@dataclass(frozen=True, slots=True)
class Source:
    """An event source mapping."""

    queue: Queue
    handler: Handler
    timeout_ms: int


class World:
    """All that acts and is acted on, wired as the template does it, with its timeouts."""

    def __init__(self, habits: Habits, rng: Random, naps_rng: Random, lies: Random) -> None:
        """``naps_rng``: the dice of machines that sleep; ``lies``: of listings that lie."""
        self.clock = clock = Clock()
        self.channel = Bucket(clock, rng, page_size=habits.page_size)
        self.state = Bucket(clock, rng, page_size=habits.page_size)
        self.uploads = StandardQueue(
            "uploads", clock, rng, visibility_seconds=330, receives_max=UPLOAD_RECEIVES_MAX
        )
        self.slow_uploads = StandardQueue(
            "slow uploads", clock, rng, visibility_seconds=330, receives_max=UPLOAD_RECEIVES_MAX
        )
        self.merges = Fifo("merges", clock, rng, visibility_seconds=330, receives_max=20)
        continuations = Fifo("continuations", clock, rng, visibility_seconds=960, receives_max=5)
        self.listed = LyingListings(self.channel, lies, habits.with_noarch)
        self.brakes = Brakes(
            self.channel,
            clock,
            habits.with_noarch,
            from_packages=habits.brake_from,
            days=habits.brake_days,
            lies=habits.lies > 0,
        )
        self.buckets = buckets = Buckets(self.channel, self.listed, self.state, clock)
        self.functions = Functions(
            wiring=self._wiring,
            listed=self.listed,
            state=self.state,
            uploads=self.uploads,
            slow_uploads=self.slow_uploads,
            merges=self.merges,
            environment=DeduplicatingQueue(self.merges, lambda: clock.ms),
            continuations=continuations,
            clock=clock,
            new_id=self._new_id,
            debounce_seconds=habits.debounce_seconds,
            retention_days=habits.retention_days,
            brake_days=habits.brake_days,
            brakes=self.brakes,
            executor=in_order if habits.reads_ahead else deferred,
            merge_ms=habits.merge_ms,
            step_ms=habits.step_ms,
            rejects_kept=habits.reject_limits.kept,
        )
        self.sources = [
            Source(self.uploads, self.functions.extract, _TIMEOUT_MS),
            Source(self.slow_uploads, self.functions.extract, _TIMEOUT_MS),
            Source(self.merges, self.functions.merge, _TIMEOUT_MS),
            Source(continuations, self.functions.proceed_reconcile, RECONCILE_TIMEOUT_MS),
        ]
        self.invariants = Invariants(
            self.channel,
            self.state,
            clock,
            habits.with_noarch,
            days=habits.retention_days,
            frozen=buckets.frozen,
            bucket_name=lambda: buckets.name,
            brakes=self.brakes,
            reject_limits=habits.reject_limits,
        )
        opener = Opener(
            lambda: buckets.wired,
            self.state,
            self.merges,
            clock,
            self._new_id,
            habits.debounce_seconds,
        )
        self.opener = opener
        self.state.garbles = habits.garbles
        self.operators = Operators(habits, opener, self.state, rng, self.invariants)
        self.people = People(
            habits,
            self.channel,
            clock,
            rng,
            self.invariants,
            self.uploads.put,
            lambda: buckets.name,
        )
        # By dice of their own: worlds without them are as they were before.
        self._dice = Random(f"administrators, {habits}")  # noqa: S311 - to be repeated
        self.administrators = Administrators(
            habits, buckets, opener, clock, self._dice, self.invariants
        )
        self.retirements = Retirements(
            habits,
            opener,
            self.channel,
            self.state,
            Random(f"retirements, {naps_rng.random()}" if habits.retires else 0),  # noqa: S311
        )
        self._habits = habits
        self.laptops = Laptops(habits, opener, self.operators, naps_rng)
        self._rng = rng
        self._numbered = 0

    @property
    def events_lost(self) -> bool:
        """Whether there is something that only reconcile can find."""
        # An operator who died comes back no more, and the merge that was asked for may be missing.
        unfinished = self.operators.done < self.operators.begun
        dead = any(source.queue.dead for source in self.sources)
        unfinished |= self.retirements.done < self.retirements.begun
        acted = self.administrators.acted or self.laptops.indexed
        return self.people.events_lost or unfinished or dead or acted

    def disturb(self, habits: Habits) -> None:
        """Let services be as unpleasant as they may."""
        self.uploads.duplicates = self.slow_uploads.duplicates = habits.duplicated
        self.channel.late = self.state.late = habits.late
        self.listed.lies = habits.lies

    def leave_in_peace(self) -> None:
        """Let services be as pleasant as can be."""
        self.uploads.duplicates = self.slow_uploads.duplicates = 0.0
        self.channel.late = self.state.late = self.listed.lies = 0.0

    def next_due(self) -> int | None:
        """When the next thing happens by itself, or could have; ms."""
        due = [self.clock.next_due(), *(source.queue.next_visible() for source in self.sources)]
        return min((at for at in due if at is not None), default=None)

    def _wiring(self) -> Wiring:
        """Of the environment that handles a message: one of before may be handed it yet."""
        lingers = self._habits.switches and self._dice.random() < self._habits.lingers
        return self.buckets.before if lingers else self.buckets.wired

    def _new_id(self) -> str:
        self._numbered += 1
        return f"{self._rng.getrandbits(32):08x}-{self._numbered}"
