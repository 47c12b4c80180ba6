"""Finding an old generation, by its number or by when it was the newest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sluice.catalog.commit import Commit, Head, decode_commit, read_head
from sluice.errors import Misused, NotFound
from sluice.keys import Subdir
from sluice.operate.channel import Channel

Moment = int | datetime
"""A generation, or a time: the generation that was the newest then."""

_AGE = re.compile(r"(\d+)\s*(s|m|h|d|w)[a-z]*(\s+ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, *, now: datetime) -> Moment:
    """Read ``17``, ``2026-11-27T14:00``, ``2026-11-27`` or ``2h``; raises ``Misused``.

    A time without a zone is one of UTC, as all that sluice shows.
    """
    told = text.strip()
    if told.isdecimal():
        return int(told)
    if age := _AGE.fullmatch(told.lower()):
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        raise Misused(
            f"{text!r} is neither a generation (17) nor a time (2026-11-27T14:00Z, 2h)"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def commits(channel: Channel, subdir: Subdir, head: Head) -> Iterator[Commit]:
    """The history that is kept behind a head, the newest first; raises ``Corrupt``."""
    digest = head.commit
    while digest is not None:
        key = subdir.commit(digest)
        stored = channel.state.get(key)
        if stored is None:  # collected, as all before it
            return
        commit = decode_commit(stored.body, what=key)
        yield commit
        digest = commit.parent


def find(channel: Channel, subdir: Subdir, head: Head, moment: Moment) -> Commit:
    """The commit of a generation, or the last one at a time.

    Raises ``NotFound``, and says how far back the history goes.
    """
    newest = f": the newest is {head.generation}"
    behind: Commit | None = None
    for commit in commits(channel, subdir, head):
        if _is_at(commit, moment):
            return commit
        if isinstance(moment, int) and commit.generation < moment:
            raise NotFound(_missing(subdir, moment, behind, newest))
        behind = commit
    raise NotFound(_missing(subdir, moment, behind, newest))


def _missing(subdir: Subdir, moment: Moment, behind: Commit | None, otherwise: str) -> str:
    """Why a generation is not to be had; ``behind``: the last one that was looked at."""
    what = str(moment) if isinstance(moment, int) else f"of {shown(moment)} or before"
    kept = otherwise
    if behind:
        kept = f": the oldest that is kept is {behind.generation}, of {shown(when(behind))}"
    return f"{subdir.prefix} has no generation {what}{kept}"


def time_of(channel: Channel, subdir: Subdir, generation: int) -> datetime:
    """When a generation of a subdir was committed; raises ``NotFound`` and ``Corrupt``."""
    return when(find(channel, subdir, read_head(channel.state, subdir).head, generation))


def when(commit: Commit) -> datetime:
    """The time of a commit."""
    return datetime.fromtimestamp(commit.at / 1000, UTC)


def shown(at: datetime) -> str:
    """A time as people read it, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _is_at(commit: Commit, moment: Moment) -> bool:
    if isinstance(moment, int):
        return commit.generation == moment
    return when(commit) <= moment
