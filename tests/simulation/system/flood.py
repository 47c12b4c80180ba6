"""A publisher who uploads files that cannot be indexed, and people who delete them again."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from sluice.layout import Subdir
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.habits import Habits
from tests.simulation.system.packages import Place

_FILENAMES = (
    *(f"flood{number}-1.0-0.conda" for number in range(6)),
    *(f"flood-1.{number}-0.conda" for number in range(5)),
    # Beside good packages of the same name, before and after them.
    *(f"alpha-0.{number}-0.tar.bz2" for number in range(3)),
    *(f"alpha-9.{number}-0.tar.bz2" for number in range(3)),
    # Of a name that CEP 26 does not allow, and of none at all.
    *(f"Flood{number}-1+0!-0.conda" for number in range(2)),
    *(f"flood{number}.conda" for number in range(3)),
)
_BODIES = 3
"""Contents of each file."""
_AT_ONCE = 6
"""Files that are uploaded in a row, at most."""
_DELETED = 0.15
"""How likely people delete, and the publisher does not upload."""
_ALL_DELETED = 0.3
"""How likely they then delete all that there is."""


class Flood:
    """The files of all subdirs that are there to do harm."""

    def __init__(
        self,
        habits: Habits,
        channel: Bucket,
        rng: Random,
        upload: Callable[[Place, bytes], None],
        delete: Callable[[Place], None],
    ) -> None:
        """``upload`` and ``delete`` change the bucket and let events tell of it, or not."""
        self._subdirs = habits.subdirs
        self._channel = channel
        self._rng = rng
        self._upload = upload
        self._delete = delete

    def act(self) -> str:
        """Upload some of these files, or delete some; tells what."""
        rng = self._rng
        subdir = rng.choice(self._subdirs)
        if rng.random() < _DELETED:
            there = self._there(subdir)
            if rng.random() >= _ALL_DELETED:
                there = rng.sample(there, len(there) // 2)
            return self._delete_all(there)
        return self._upload_all(subdir, rng.sample(_FILENAMES, rng.randrange(1, _AT_ONCE + 1)))

    def fill(self, subdir: Subdir) -> str:
        """Upload most of these files at once; tells what."""
        return self._upload_all(subdir, self._rng.sample(_FILENAMES, len(_FILENAMES) - 3))

    def end(self) -> str:
        """Delete all of these files; tells what."""
        return self._delete_all(
            [place for subdir in self._subdirs for place in self._there(subdir)]
        )

    def _there(self, subdir: Subdir) -> list[Place]:
        places = [Place(subdir, filename) for filename in _FILENAMES]
        return [place for place in places if place.key in self._channel.objects]

    def _upload_all(self, subdir: Subdir, filenames: list[str]) -> str:
        for filename in filenames:
            body = f"flood, {self._rng.randrange(_BODIES)}".encode()
            self._upload(Place(subdir, filename), body)
        return f"flood {subdir.prefix}: {filenames}"

    def _delete_all(self, places: list[Place]) -> str:
        for place in places:
            self._delete(place)
        return f"delete of the flood: {[place.key for place in places]}"
