"""People who change the parameters of the stack, by mistake or because they restore a bucket."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

from sluice.admin.changes.rebind import rebind
from sluice.errors import NotFound, WrongState
from tests.simulation.system.buckets import Buckets
from tests.simulation.system.clock import Clock
from tests.simulation.system.functions import TimeLeft
from tests.simulation.system.habits import Habits
from tests.simulation.system.invariants import Invariants
from tests.simulation.system.opener import Opener

Work = Callable[[int, TimeLeft], None]
_UPGRADES = 0.4
"""How likely the state is one of 0.1 until a parameter changes."""


class Administrators:
    """One change at a time, which is taken back or completed before the next."""

    def __init__(
        self,
        habits: Habits,
        buckets: Buckets,
        opener: Opener,
        clock: Clock,
        rng: Random,
        invariants: Invariants,
    ) -> None:
        self.acted = False
        """Whether a parameter was ever changed: then events have been lost."""
        self._habits = habits
        self._buckets = buckets
        self._opener = opener
        self._clock = clock
        self._rng = rng
        self._invariants = invariants
        self._unbound: list[str] = []
        """Channels that are still to be bound to the bucket that was restored."""

    def act(self) -> str | None:
        """Change a parameter, or take that back; tells what, or ``None`` where there is nothing."""
        rng, buckets = self._rng, self._buckets
        if buckets.is_mistaken:
            buckets.correct()
            return f"the parameters lead to {buckets.name} again"
        if self._unbound:
            return None
        self.acted = True
        upgrades = rng.random() < _UPGRADES
        if upgrades:
            buckets.forget_bindings()
        told = ", and the state was one of 0.1" if upgrades else ""
        if rng.random() >= self._habits.restores:
            buckets.mistake()
            return f"the parameters lead to {buckets.wired.name}{told}"
        in_parts = rng.random() < 0.5
        buckets.restore(in_parts=in_parts)
        self._unbound = sorted({subdir.channel for subdir in self._habits.subdirs})
        kind = "in parts" if in_parts else "as it is"
        return f"the bucket is restored {kind} as {buckets.name}{told}"

    def choose(self) -> tuple[str, Work] | None:
        """A command to run, and how to tell of it; ``None`` where none is needed."""
        if not self._unbound:
            return None
        name = self._unbound[0]

        def work(skew_ms: int, _time_left_ms: TimeLeft) -> None:
            self._rebind(name, skew_ms)
            if name in self._unbound:
                self._unbound.remove(name)

        return f"rebind {name!r} to {self._buckets.name}", work

    def settle(self) -> None:
        """Have every parameter lead to where it should, and every channel be bound to it."""
        if self._buckets.is_mistaken:
            self._buckets.correct()
        self._buckets.before = self._buckets.wired
        for subdir in self._habits.subdirs:
            if subdir.channel in self._unbound or not self._is_right(subdir.channel):
                self._rebind(subdir.channel, 0)
        self._unbound.clear()

    def _is_right(self, channel: str) -> bool:
        """Whether sluice works on a channel; if others wrote over all its files, nothing shows."""
        check = self._opener.open(channel, 0).bucket_check
        try:
            check.ensure_bound(channel)
        except WrongState:
            return False
        return True

    def _rebind(self, name: str, skew_ms: int) -> None:
        channel = self._opener.open(name, skew_ms)
        self._invariants.may_show_what_is_gone(name)
        with suppress(NotFound):  # sluice knows nothing of the channel yet
            done = rebind(channel, max_age_seconds=60, brake_days=7)
            if not done.done:  # people have deleted most of it meanwhile
                done = rebind(channel, confirm=done.digest, max_age_seconds=60, brake_days=7)
            assert done.failures == []
