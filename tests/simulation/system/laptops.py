"""People's own machines: what runs there is stopped by nobody, and sleeps with the machine.

A function is killed after minutes.  A process on a laptop that was closed, in a container that was
paused or in a virtual machine that was moved goes on days later, with the very next request.
"""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from sluice.admin.standalone.index import IndexOptions, index
from sluice.admin.standalone.package_pool import Examiner, ThreadReaders
from tests.simulation.system.clock import HOUR
from tests.simulation.system.functions import TimeLeft
from tests.simulation.system.habits import Habits
from tests.simulation.system.opener import Opener
from tests.simulation.system.operators import Operators, Work

FOREVER_MS = 1000 * 24 * HOUR
"""For which such a process may run."""
_BEGINS = 0.1
"""How likely somebody begins with something, per turn in which nobody has."""
_SLEEPS = 0.1
"""How likely the machine is put to sleep, per turn in which it is awake."""
_SLEEPS_OVER_A_GENERATION = 0.4
"""The same, where a part of a generation is about to be written or read."""
_DELICATE = re.compile(
    r"PutObject (heads|commits|trees|leaves|packs|patches)/|PutObject .*/shards/|"
    r"GetObject (commits|trees|leaves|packs|patches)/"
)
_ASLEEP_HOURS = (2, 30, 40, 50, 200)
_EXPECTED = ("Unavailable", "WrongState", "the catalog of the channel")
"""How a failure begins that is for want of an answer, or because a parameter is mistaken."""
_PASSES = 0.5
"""How likely much time passes, per turn in which it is asleep."""
_PASSES_HOURS = (1, 26, 27, 27)


class Laptops:
    """What people do on their machines; all decisions are made by dice of their own."""

    def __init__(self, habits: Habits, opener: Opener, operators: Operators, rng: Random) -> None:
        self.indexed = False
        """Whether somebody has indexed: what that asks for is asked of nobody else."""
        self._habits = habits
        self._opener = opener
        self._operators = operators
        self._rng = rng

    def begins(self) -> bool:
        """Tell whether somebody sits down now."""
        return self._rng.random() < _BEGINS

    def falls_asleep(self, before: tuple[str, str] | None) -> int | None:
        """For how long the machine sleeps from now on, in ms; ``None``: it stays awake.

        ``before``: the request that is made next.
        """
        delicate = before is not None and _DELICATE.search(" ".join(before))
        if self._rng.random() >= (_SLEEPS_OVER_A_GENERATION if delicate else _SLEEPS):
            return None
        return self._rng.choice(_ASLEEP_HOURS) * HOUR

    def hours_pass(self) -> int | None:
        """How many hours a sleeping process misses now; ``None``: nothing in particular happens."""
        return self._rng.choice(_PASSES_HOURS) if self._rng.random() < _PASSES else None

    def choose(self, *, may_amend: bool) -> tuple[str, str, Work]:
        """Something to do: what it is called, how to tell of it, and how to do it."""
        if may_amend and self._rng.random() < 0.5:
            what, work = self._operators.choose()
            return "operator", f"on a laptop: {what}", work
        channel = self._rng.choice(sorted({one.channel for one in self._habits.subdirs}))
        collects = self._rng.random() < 0.5

        def do(skew_ms: int, _time_left_ms: TimeLeft) -> None:
            self._index(channel, skew_ms, collects=collects)

        self.indexed = True
        return "index", f"on a laptop: index {channel!r}", do

    def _index(self, name: str, skew_ms: int, *, collects: bool) -> None:
        channel = replace(self._opener.open(name, skew_ms), merges=None)
        report = index(
            channel,
            IndexOptions(
                retention_days=self._habits.retention_days,
                subdirs_at_once=1,
                collects=collects,
            ),
            readers=ThreadReaders(Examiner(channel.public, True, channel.clock), workers=1),  # noqa: FBT003
        )
        for failure in report.failures:
            assert failure.reason.startswith(_EXPECTED), f"index: {failure}"
