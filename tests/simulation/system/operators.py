"""People who keep packages out of an index, let them in again, and go back to what was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

from sluice.admin.changes.pins import pin, unpin
from sluice.admin.changes.rollback import rollback
from sluice.catalog.head import read_head
from sluice.errors import NotFound, WrongState
from sluice.layout import Subdir
from tests.simulation.system import packages
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.functions import TimeLeft
from tests.simulation.system.habits import Habits
from tests.simulation.system.invariants import Invariants
from tests.simulation.system.opener import Opener
from tests.simulation.system.packages import Place

Work = Callable[[int, TimeLeft], None]
_BACK_MAX = 4
"""Generations."""


class Operators:
    """One at a time, as they would otherwise undo what the other has just done."""

    def __init__(
        self, habits: Habits, opener: Opener, state: Bucket, rng: Random, invariants: Invariants
    ) -> None:
        self.begun = 0
        self.done = 0
        """Of those begun, how many came to their end."""
        self._habits = habits
        self._opener = opener
        self._state = state
        self._rng = rng
        self._invariants = invariants

    def choose(self) -> tuple[str, Work]:
        """Something to do, and how to tell of it."""
        rng = self._rng
        subdir = rng.choice(self._habits.subdirs)
        place = Place(subdir, rng.choice(packages.FILENAMES[: self._habits.places]))
        back = rng.randrange(1, _BACK_MAX)
        self.begun += 1
        if rng.random() < self._habits.pins:
            return f"pin {place.key}", self._ending(self._pin, place)
        if rng.random() < 0.5:
            return f"unpin {place.key}", self._ending(self._unpin, place)
        return f"roll {subdir.prefix} back by {back}", self._ending(self._roll_back, subdir, back)

    def _ending(self, do: Callable[..., None], *about: object) -> Work:
        def work(skew_ms: int, _time_left_ms: TimeLeft) -> None:
            with suppress(
                NotFound, WrongState
            ):  # sluice knows nothing of it yet, or no more; refused
                do(skew_ms, *about)
            self.done += 1

        return work

    def _pin(self, skew_ms: int, place: Place) -> None:
        kept = pin(
            self._opener.open(place.subdir.channel, skew_ms),
            place.subdir,
            [place.filename],
            reason="x",
        )
        if kept.committed and place.filename in kept.identities:
            identity = kept.identities[place.filename]
            self._invariants.pinned(place, identity, kept.committed.generation)

    def _unpin(self, skew_ms: int, place: Place) -> None:
        self._invariants.may_come_back(place.subdir, place.filename)
        unpin(self._opener.open(place.subdir.channel, skew_ms), place.subdir, [place.filename])

    def _roll_back(self, skew_ms: int, subdir: Subdir, back: int) -> None:
        self._invariants.may_come_back(subdir)
        to = read_head(self._state, subdir).value.generation - back
        done = rollback(self._opener.open(subdir.channel, skew_ms), subdir, to)
        if done.generation is None:
            return
        for filename in done.pinned:
            identity = self._invariants.identity_of_pin(subdir, filename, done.generation)
            if identity:
                self._invariants.pinned(Place(subdir, filename), identity, done.generation)
