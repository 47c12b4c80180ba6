"""Functions that run at the same time, and what may happen to each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from testkit.memory_store import Hook, ignore
from testkit.scheduler import Actor, Killed, Loses, Stage
from tests.simulation.system.clock import HOUR, MINUTE, SECOND, Clock
from tests.simulation.system.functions import EXPECTED, TimeLeft
from tests.simulation.system.habits import Habits

_STALLS = 0.5
_SKEW_MS = 900
_SLEEP_MS = 40 * SECOND
"""On average."""
_OVERSLEEPS_MS = 2 * HOUR
"""At most: more than Lambda and SQS let happen, much less than the day that garbage waits."""
_ZOMBIE_MS = MINUTE
"""How long those may run who have slept for longer than they should have lived."""
_TAKES_MS = 500

Work = Callable[[int, TimeLeft], object]
"""Takes how wrong the function's clock is, ms."""


@dataclass(slots=True)
class Invocation:
    """One function that runs."""

    name: str
    actor: Actor[None]
    stops: int
    asleep_until: int
    is_dry_run: bool
    done: Callable[[], None]
    """To be called once it has returned."""
    on_laptop: bool = False
    """Whether it is no function, but runs on a machine that may sleep."""


class Gate:
    """Where an invocation waits for its start, so that what it reads off the clock is later."""

    before: Hook = staticmethod(ignore)
    after: Hook = staticmethod(ignore)

    def enter(self, name: str) -> None:
        """Pause before anything has been done."""
        self.before("Invoke", name)
        self.after("Invoke", name)


class Invocations:
    """All functions that run."""

    def __init__(
        self,
        habits: Habits,
        stage: Stage,
        gate: Gate,
        clock: Clock,
        rng: Random,
        note: Callable[[str], None],
    ) -> None:
        self.running: list[Invocation] = []
        self.current: Invocation | None = None
        """Whose turn it is."""
        self._habits = habits
        self._stage = stage
        self._gate = gate
        self._clock = clock
        self._rng = rng
        self._note = note
        self._numbered = 0

    @property
    def awake(self) -> Sequence[Invocation]:
        """Those that go on when they are told to."""
        return [one for one in self.running if one.asleep_until <= self._clock.ms]

    def begin(
        self,
        what: str,
        work: Work,
        *,
        timeout_ms: int,
        is_dry_run: bool = False,
        on_laptop: bool = False,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Invoke a function; it may start late, as if throttled."""
        rng = self._rng
        throttled = not on_laptop and rng.random() < self._habits.throttled
        late = rng.randrange(timeout_ms) if throttled else 0
        skew = rng.randint(-_SKEW_MS, _SKEW_MS)
        name = f"{what}#{self._numbered}"
        self._numbered += 1
        starts = self._clock.ms + late
        stops = starts + timeout_ms

        def run() -> None:
            self._gate.enter(name)
            work(skew, lambda: stops - self._clock.ms)

        self._note(f"{name} starts in {late} ms")
        actor = self._stage.actor(run)
        self.running.append(
            Invocation(name, actor, stops, starts, is_dry_run, done, on_laptop=on_laptop)
        )

    def do(self, work: Work, *, timeout_ms: int) -> None:
        """Run a function from beginning to end, with nothing else going on."""
        stops = self._clock.ms + timeout_ms
        skew = self._rng.randint(-_SKEW_MS, _SKEW_MS)
        self._clock.advance(_TAKES_MS)
        work(skew, lambda: stops - self._clock.ms)

    def stop_overdue(self) -> None:
        """Let Lambda end what has run for too long."""
        for one in self.running:
            if one.stops <= self._clock.ms:
                self._note(f"{one.name} has run for too long")
                one.actor.kill()
        self._bury()

    def disturb_or_run(self, one: Invocation) -> None:
        """Let one make some requests, unless something happens to it."""
        rng, habits, actor = self._rng, self._habits, one.actor
        self.current = one
        drawn = rng.random()
        if drawn < habits.killed:
            after_next = rng.random() < 0.5
            self._note(f"{one.name} dies {'after' if after_next else 'before'} {actor.next}")
            (actor.kill_after_next if after_next else actor.kill)()
        elif (drawn := drawn - habits.killed) < habits.unanswered and actor.steps:
            lost = rng.choice((Loses.REQUEST, Loses.ANSWER))
            self._note(f"{one.name}: {lost.name} lost: {actor.next}")
            actor.lose(lost)
        elif drawn - habits.unanswered < habits.sleeps:
            self._sleep(one)
        else:
            actor.run(1 + int(rng.expovariate(1 / habits.steps)), unless=habits.stalls_at)
            if actor.next and habits.stalls_at(*actor.next) and rng.random() < _STALLS:
                self._sleep(one)
        self._bury()

    def nap(self, one: Invocation, asleep_ms: int) -> None:
        """Let the machine sleep that one runs on."""
        one.asleep_until = self._clock.ms + asleep_ms
        self._note(f"{one.name} naps for {asleep_ms // HOUR} hours before {one.actor.next}")

    def finish(self, one: Invocation) -> None:
        """Let one run to its end, undisturbed."""
        self.current = one
        one.actor.run(1_000_000)
        self._bury()

    def _sleep(self, one: Invocation) -> None:
        if self._habits.oversleeps:
            asleep = self._rng.randrange(_OVERSLEEPS_MS)
            one.stops = max(one.stops, self._clock.ms + asleep + _ZOMBIE_MS)
        else:
            asleep = int(self._rng.expovariate(1 / _SLEEP_MS))
        one.asleep_until = self._clock.ms + asleep
        self._note(f"{one.name} sleeps for {asleep} ms before {one.actor.next}")

    def _bury(self) -> None:
        self.current = None
        for one in [one for one in self.running if one.actor.done]:
            self.running.remove(one)
            try:
                one.actor.finish()
            except EXPECTED as error:
                self._note(f"{one.name} failed: {error!r}")
            except Killed:
                self._note(f"{one.name} is dead")
            else:
                self._note(f"{one.name} is done")
                one.done()
