"""The buckets that a parameter may lead to: the channel's, a wrong one, and those of before."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from sluice.merge.warm_cache import WarmCache
from sluice.storage.object_store import ETag, ObjectStore
from testkit.memory_store import MemoryStore, Stored
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.clock import Clock

FIRST = "channel-bucket"
MISTAKEN = "mistaken-bucket"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What an execution environment was started with: a parameter never changes in one."""

    channel: Bucket
    listed: ObjectStore
    """The same bucket as comparisons see it: its listings may lie."""
    name: str
    """Of that bucket."""
    remembered: WarmCache = field(default_factory=WarmCache)
    """By the environments of merge, which share it here."""


class Buckets:
    """Which bucket is the channel's, and which one the parameters of the functions lead to."""

    def __init__(self, channel: Bucket, listed: ObjectStore, state: Bucket, clock: Clock) -> None:
        self.name = FIRST
        """Of the bucket that people upload to."""
        self.wired = self.before = Wiring(channel, listed, FIRST)
        """What an environment that starts now is given, and one that has not ended yet was."""
        self.frozen: list[Bucket] = []
        """Buckets that were restored under other names."""
        self._channel = channel
        self._listed = listed
        self._state = state
        self._clock = clock
        self._mistaken = Bucket(clock, Random(0), page_size=1000)  # noqa: S311 - draws nothing
        self._mistaken.watch = _must_not_be_written

    @property
    def is_mistaken(self) -> bool:
        """Whether the parameters lead to a bucket that is not the channel's."""
        return self.wired.channel is self._mistaken

    def mistake(self) -> None:
        """Have the parameters lead to an empty bucket."""
        self._rewire(Wiring(self._mistaken, self._mistaken, MISTAKEN))

    def correct(self) -> None:
        """Have the parameters lead to the channel's bucket again."""
        self._rewire(Wiring(self._channel, self._listed, self.name))

    def restore(self, *, in_parts: bool) -> None:
        """Restore the channel's bucket as a copy under a new name, and have parameters lead to it.

        Each object is written now; copied ``in_parts`` it has another ETag.  People go on with the
        copy, so it is what was the channel's that becomes another object.
        """
        frozen = Bucket(self._clock, Random(0), page_size=1000)  # noqa: S311 - draws nothing
        frozen.objects = dict(self._channel.objects)
        for key, stored in frozen.objects.items():
            etag = ETag(f'"{stored.info.etag[1:-1]}-2"') if in_parts else stored.info.etag
            MemoryStore._write(self._channel, key, stored.body, stored.headers, etag=etag)
        was = Wiring(frozen, frozen, self.name)
        self.frozen.append(frozen)
        self.name = f"restored-bucket-{len(self.frozen)}"
        self._rewire(Wiring(self._channel, self._listed, self.name))
        self.before = was

    def forget_bindings(self) -> None:
        """Have the state be one of sluice 0.1, which bound nothing."""
        for key in self._state.keys("bindings/"):
            del self._state.objects[key]

    def _rewire(self, wiring: Wiring) -> None:
        self.before, self.wired = self.wired, wiring


def _must_not_be_written(
    key: str, _before: Stored | None, _after: Stored | None, _sender: object
) -> None:
    raise AssertionError(f"sluice wrote {key} into a bucket that is not the channel's")
