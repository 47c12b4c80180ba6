"""Schedules the listings of a channel, and the reads of objects that events name.  Pure.

Merges have a leading and a trailing edge.  A hint about a subdir that has been quiet is due at
once: a single upload does not wait.  What comes in the window after that is due at its end, all of
it together.

Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sluice.layout import PackageKey
from sluice.limits import WATCH_HINTS_MAX, WATCH_RETRY_SECONDS_MIN

_NEVER = float("inf")
_CONFIG = ""
"""The name under which a channel's configuration has its edges: it is in no subdir."""


@dataclass(frozen=True, slots=True)
class ListChannel:
    """List the channel, and index what differs from its catalog."""


@dataclass(frozen=True, slots=True)
class ReadObjects:
    """Read these packages, and merge their subdirs."""

    packages: dict[PackageKey, int | None]
    """Each with its size in bytes, if an event had it."""
    config_changed: bool = False


Work = ListChannel | ReadObjects


@dataclass(slots=True)
class ChannelSchedule:
    """The work of one channel that is known, and when each part of it is due."""

    poll_seconds: float
    debounce_seconds: float
    _listing_due: float = 0.0
    _failures: int = 0
    """Listings that failed in a row."""
    _hints: dict[str, dict[PackageKey, int | None]] = field(default_factory=dict)
    """By the name of the subdir."""
    _config_changed: bool = False
    _began: dict[str, float] = field(default_factory=dict)
    """When the last merge of a subdir began."""

    def hint(self, key: PackageKey, size: int | None, *, now: float) -> None:
        """Note that something happened to a package."""
        if self.pending >= WATCH_HINTS_MAX:
            self.request_listing(now=now)
            return
        self._hints.setdefault(key.subdir.name, {})[key] = size

    def hint_config(self) -> None:
        """Note that the configuration was written or deleted."""
        self._config_changed = True

    def request_listing(self, *, now: float) -> None:
        """Have the channel listed as soon as possible."""
        self._listing_due = min(self._listing_due, now)

    @property
    def pending(self) -> int:
        """The number of packages that wait to be read."""
        return sum(map(len, self._hints.values()))

    def due_at(self) -> float:
        """The time at which ``take`` returns something."""
        return min([self._listing_due, *map(self._due, self._waiting())])

    def take(self, *, now: float) -> Work | None:
        """The work that is due, if any; it counts as begun."""
        if self._listing_due <= now:
            # LIST is strongly consistent: it shows all objects that events have named so far.
            self._begin(list(self._waiting()), now)
            self._hints.clear()
            self._config_changed = False
            self._listing_due = _NEVER
            return ListChannel()
        due = [name for name in self._waiting() if self._due(name) <= now]
        if not due:
            return None
        self._begin(due, now)
        packages = {key: size for name in due for key, size in self._hints.pop(name, {}).items()}
        config_changed = _CONFIG in due
        if config_changed:
            self._config_changed = False
        return ReadObjects(packages, config_changed)

    def end_listing(self, *, now: float, failed: bool) -> None:
        """Plan the next listing, after one has ended."""
        self._failures = self._failures + 1 if failed else 0
        wait = self.poll_seconds
        if failed:
            wait = min(wait, WATCH_RETRY_SECONDS_MIN * 2.0 ** min(self._failures - 1, 10))
        self._listing_due = min(self._listing_due, now + wait)

    def end_reading(self, *, now: float, failed: bool) -> None:
        """Plan a listing that finds what could not be read or merged."""
        if failed:
            self._listing_due = min(self._listing_due, now + WATCH_RETRY_SECONDS_MIN)

    def _waiting(self) -> list[str]:
        return [*self._hints, *([_CONFIG] if self._config_changed else [])]

    def _due(self, name: str) -> float:
        return self._began.get(name, -_NEVER) + self.debounce_seconds

    def _begin(self, names: list[str], now: float) -> None:
        ended = now - self.debounce_seconds
        self._began = {name: at for name, at in self._began.items() if at > ended}
        self._began |= dict.fromkeys(names, now)
