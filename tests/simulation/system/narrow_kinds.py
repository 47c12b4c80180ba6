"""Worlds in which nothing is wrong but what hardly ever happens by chance elsewhere.

Each takes from the world that was drawn what it does not name: the bounds of the core, say.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from sluice.layout import Subdir
from tests.simulation.system.habits import Habits, RejectLimits

_LINUX, _NOARCH, _MAC = (Subdir("team", name) for name in ("linux-64", "noarch", "osx-arm64"))
_MORE = tuple(Subdir("team", name) for name in ("win-64", "linux-aarch64", "osx-64"))
_STALL_AT_HEADS = ("PutObject", "heads/")
_STALL_AT_COMMITS = ("PutObject", "commits/")
_STALL_AT_DIGESTS = ("PutObject", "digests/")
_STALL_AT_STAGING = ("PutObject", "staging/")
_STALL_AT_INDEXES = ("PutObject", "/repodata")
_STALLS_OF_RETIREMENT = (("PutObject", "bindings/"), ("DeleteObjects", ""))


def races(habits: Habits, _rng: Random) -> Habits:
    """Let merges sleep over one another, and hardly anything happen to a package afterwards."""
    return _calm(
        habits,
        subdirs=(_LINUX, _NOARCH, _MAC, *_MORE),
        turns=120,
        batch_records=1000,
        stalls=(_STALL_AT_HEADS, _STALL_AT_COMMITS, _STALL_AT_INDEXES),
        steps=30,
        oversleeps=True,
        acts=0.1,
        places=1,
        deletes=0.8,
    )


def amended(habits: Habits, _rng: Random) -> Habits:
    """Let operators sleep over what merges commit."""
    return _calm(
        habits,
        subdirs=(_LINUX,),
        turns=240,
        batch_records=1000,
        stalls=(_STALL_AT_COMMITS,),
        steps=10,
        oversleeps=True,
        acts=0.1,
        places=4,
        deletes=0.2,
        amends=0.1,
    )


def patched(habits: Habits, _rng: Random) -> Habits:
    """Let patches change, and subdirs be quiet meanwhile."""
    return _calm(
        habits,
        subdirs=(_LINUX,),
        turns=120,
        steps=10,
        acts=0.15,
        places=4,
        deletes=0.2,
        patched=True,
        configures=0.5,
    )


def restored(habits: Habits, _rng: Random) -> Habits:
    """Let the bucket be restored under other names, with pins and work under way."""
    return _calm(
        habits,
        subdirs=(_LINUX, _NOARCH, _MAC),
        turns=240,
        steps=30,
        acts=0.12,
        places=2,
        deletes=0.1,
        amends=0.06,
        pins=1.0,
        switches=0.08,
        restores=0.9,
        lingers=0.6,
    )


def mistaken(habits: Habits, _rng: Random) -> Habits:
    """Let the parameters often lead to a wrong bucket."""
    return _calm(
        habits,
        subdirs=(_LINUX,),
        turns=240,
        steps=30,
        acts=0.1,
        places=4,
        deletes=0.2,
        amends=0.03,
        pins=1.0,
        switches=0.1,
        restores=0.4,
    )


def napping(habits: Habits, rng: Random) -> Habits:
    """Let machines sleep right before a head is swapped."""
    return _calm(
        habits,
        subdirs=(_LINUX,),
        turns=240,
        garbage_at_once=50_000,
        step_ms=500_000,
        retention_days=1,
        dropped=rng.choice((0.0, 0.5)),
        stalls=(_STALL_AT_HEADS,),
        steps=30,
        acts=0.1,
        places=2,
        deletes=0.2,
        naps=True,
    )


def archived(habits: Habits, _rng: Random) -> Habits:
    """Let packages be archived, restored and copied, in silence, between comparisons."""
    return _calm(
        habits,
        subdirs=(_LINUX, _NOARCH),
        turns=120,
        steps=30,
        acts=0.2,
        places=2,
        deletes=0.1,
        archives=0.7,
        reconciles=0.05,
    )


def taken_over(habits: Habits, rng: Random) -> Habits:
    """Let merges have no time for an index of another tool, which goes on writing it."""
    return _calm(
        habits,
        subdirs=rng.choice(((_LINUX,), (_LINUX, _MAC, *_MORE))),
        turns=120,
        batch_records=rng.choice((1, 1000)),
        names_at_once=1,
        merge_ms=0,
        indexed_before=1.0,
        killed=rng.choice((0.0, 0.05)),
        unanswered=rng.choice((0.0, 0.1)),
        steps=rng.choice((10, 30)),
        throttled=rng.choice((0.0, 0.2)),
        acts=0.1,
        places=4,
        favourite=0.8,  # the last, so that it is not the first name that is judged
        deletes=0.2,
        jumps=rng.choice((0.0, 0.02)),
        jump_hours=(1, 2, 25),
        reindexes=rng.choice((0.0, 0.5, 0.5)),
    )


def emptied(habits: Habits, rng: Random) -> Habits:
    """Let a subdir be emptied and restored unheard, again and again."""
    return _braked(habits, rng, day_acts=rng.choice((0, 0, 2)))


def refilled(habits: Habits, rng: Random) -> Habits:
    """Let other packages be uploaded under the names of those that are missing."""
    return _braked(habits, rng, refills=0.5)


def lied_to(habits: Habits, rng: Random) -> Habits:
    """Let listings show a subdir empty or cut short."""
    return _braked(
        habits,
        rng,
        lies=rng.choice((0.1, 0.4, 0.7)),
        dropped=rng.choice((0.0, 0.3)),
        indexed_before=rng.choice((0.0, 0.5)),
        confirms=rng.choice((0.0, 0.6)),
    )


def misstated(habits: Habits, rng: Random) -> Habits:
    """Let uploaders state false digests, and what is known of that be disturbed in every way."""
    new_extractor = rng.random() < 0.5
    return _calm(
        habits,
        subdirs=(_LINUX,),
        turns=160,
        new_extractor=new_extractor,
        dropped=rng.choice((0.0, 0.3)),
        duplicated=0.3,
        delayed=0.3,
        killed=rng.choice((0.0, 0.05)),
        unanswered=rng.choice((0.0, 0.1)),
        stalls=rng.choice(((), (_STALL_AT_DIGESTS,), (_STALL_AT_STAGING,))),
        steps=10,
        acts=0.1,
        places=4,
        deletes=0.1,
        reconciles=0.05,
        jumps=0.03,
        jump_hours=(1, 13, 25),
        # What is unpinned is read whole, and a new extractor would believe its metadata again.
        amends=0.0 if new_extractor else 0.03,
        misstates=rng.choice((0.2, 0.5)),
        digests_a_day=rng.choice((1, 2, 100)),
    )


def flooded(habits: Habits, rng: Random) -> Habits:
    """Let somebody upload more that cannot be indexed than a subdir keeps of it.

    All else goes wrong there as it does elsewhere.  What is archived, or odd, would be rejects that
    outlast the flood.
    """
    return replace(
        habits,
        turns=rng.choice((120, 240)),
        indexed_before=0.0,
        dropped=rng.choice((0.0, 0.3, 0.6)),
        acts=0.2,
        places=4,
        odd=0.0,
        archives=0.0,
        configures=0.0,
        floods=rng.choice((0.2, 0.5)),
        reject_limits=RejectLimits(
            kept=rng.choice((5, 7, 10)),
            requeued=2,
            sentences=3,
            listed=4,
            listed_of_name=2,
        ),
    )


def retired(habits: Habits, rng: Random) -> Habits:
    """Let channels be moved away, with or without their index, retired, and started anew."""
    return replace(
        habits,
        subdirs=rng.choice((habits.subdirs, (_LINUX, _NOARCH), (_LINUX, _MAC))),
        turns=rng.choice((120, 240)),
        indexed_before=0.0,
        dropped=rng.choice((0.0, 0.0, 0.3)),
        stalls=rng.choice(((), (_STALL_AT_HEADS,), (_STALL_AT_INDEXES,), _STALLS_OF_RETIREMENT)),
        acts=rng.choice((0.05, 0.2)),
        places=rng.choice((1, 2)),
        archives=0.0,
        moves=rng.choice((0.1, 0.3)),
        retires=rng.choice((0.02, 0.1)),
        days=rng.choice((2, 5)),
        day_acts=rng.choice((2, 6)),
    )


def _braked(habits: Habits, rng: Random, **more: Any) -> Habits:
    """A world with a brake that few packages set off, and many deletions unheard."""
    braked = replace(
        habits,
        subdirs=habits.subdirs[:1],
        turns=60,
        dropped=0.0,
        indexed_before=0.0,
        acts=0.2,
        places=4,
        favourite=0.0,
        deletes=0.1,
        archives=0.0,
        configures=0.0,
        reconciles=0.05,
        jumps=0.03,
        jump_hours=(1, 6, 13, 25),
        brake_from=rng.choice((2, 3)),
        brake_days=1,
        days=rng.choice((5, 10)),
        empties=rng.choice((0.6, 0.8)),
    )
    return replace(braked, **more)


def _calm(habits: Habits, **more: Any) -> Habits:
    """A world that nothing disturbs but what ``more`` says."""
    calm = replace(
        habits,
        new_extractor=False,
        indexed_before=0.0,
        dropped=0.0,
        duplicated=0.0,
        delayed=0.0,
        killed=0.0,
        unanswered=0.0,
        sleeps=0.0,
        late=0.0,
        stalls=(),
        throttled=0.0,
        oversleeps=False,
        favourite=0.0,
        odd=0.0,
        archives=0.0,
        others=0.0,
        configures=0.0,
        reconciles=0.0,
        jumps=0.0,
    )
    return replace(calm, **more)
