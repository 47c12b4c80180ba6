"""People who end channels: they move them away, and retire those that have no packages."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from sluice.admin.changes.retire import retire
from sluice.catalog.binding import binding_object
from sluice.errors import Occupied, UnknownChannel, WrongState
from sluice.layout import Subdir
from sluice.publish.fence import Stamp
from sluice.publish.outputs import ALL_OUTPUTS
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.functions import TimeLeft
from tests.simulation.system.habits import Habits
from tests.simulation.system.opener import Opener
from tests.simulation.system.operators import Work
from tests.simulation.system.packages import SUFFIXES

NAME = "retirement"
"""What an invocation that retires a channel is called."""
_REFUSALS = (Occupied, UnknownChannel, WrongState)
_STATE_KINDS = (
    "commits",
    "trees",
    "leaves",
    "patches",
    "taken-over",
    "takeovers",
    "notes",
    "marks",
    "brakes",
    "digests",
    "rejects",
)
"""Of the private objects of a channel, those that go with it."""


class Retirements:
    """Retirements of channels, of which several may be under way."""

    def __init__(
        self, habits: Habits, opener: Opener, channel: Bucket, state: Bucket, rng: Random
    ) -> None:
        self.begun = 0
        self.done = 0
        """Of those begun, how many came to their end or were refused."""
        self._opener = opener
        self._channel = channel
        self._state = state
        self._rng = rng
        self._subdirs = habits.with_noarch
        self._channels = sorted({subdir.channel for subdir in habits.subdirs})

    def choose(self) -> tuple[str, Work]:
        """A channel to retire, and how to tell of it; rather one that has no packages."""
        empty = [name for name in self._channels if not self._has_packages(name)]
        name = self._rng.choice(empty or self._channels)

        def work(skew_ms: int, _time_left_ms: TimeLeft) -> None:
            self.begun += 1
            with suppress(*_REFUSALS):
                retire(self._opener.open(name, skew_ms))
            self.done += 1

        return f"retire {name!r}", work

    def settle(self) -> None:
        """Complete what was interrupted."""
        for name in self._channels:
            binding = binding_object(self._state, name).read().value
            if binding and binding.is_retiring:
                with suppress(Occupied):
                    retire(self._opener.open(name, 0))
            stored = binding_object(self._state, name).read().value
            assert not (stored and stored.is_retiring), f"{name!r} is still being retired"

    def end(self, name: str) -> None:
        """Retire a channel without packages, while nothing else happens; nothing must be left."""
        with suppress(UnknownChannel):
            retire(self._opener.open(name, 0))
        for subdir in self._subdirs:
            # What a first commit leaves that was killed before it had a head is of no catalog.
            if subdir.channel != name or subdir.head_key not in self._state.objects:
                continue
            left = [
                key
                for kind in _STATE_KINDS
                for key in self._state.objects
                if key.startswith(f"{kind}/") and _is_about(subdir, key)
            ]
            files = [subdir.file_key(file) for file in ALL_OUTPUTS]
            stored = [self._channel.objects[key] for key in files if key in self._channel.objects]
            left += [one.info.key for one in stored if Stamp.parse(one.info.metadata)]
            left += [] if stored else self._channel.keys(subdir.shards.prefix)
            assert not left, f"{left} are left of {name!r}, which was retired"
        assert binding_object(self._state, name).read().value is None, f"{name!r} is still bound"

    def _has_packages(self, name: str) -> bool:
        return any(
            _is_directly_in(subdir, key) and key.endswith(SUFFIXES)
            for subdir in self._subdirs
            if subdir.channel == name
            for key in self._channel.objects
        )


def _is_about(subdir: Subdir, key: str) -> bool:
    _, _, rest = key.partition("/")
    return rest == f"{subdir.component}.json" or rest.startswith(
        (f"{subdir.component}/", f"{subdir.component}.")
    )


def _is_directly_in(subdir: Subdir, key: str) -> bool:
    rest = key.removeprefix(subdir.prefix)
    return rest != key and "/" not in rest
