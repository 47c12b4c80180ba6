"""The kinds of worlds: drawn once per seed, so that seeds differ in kind and not only in order.

A fault that is always a little likely rarely meets another; one that is frequent in some worlds and
absent in others does.  Where that is too rare still, a world is narrowed to it (``narrow_kinds``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from sluice.layout import Subdir
from sluice.limits import PACK_BYTES_MAX, PACK_GAP_BYTES_MAX
from tests.simulation.system import narrow_kinds
from tests.simulation.system.habits import Habits

_CHANNELS = (
    (Subdir("team", "linux-64"), Subdir("team", "noarch")),
    (Subdir("team", "linux-64"),),
    (Subdir("", "noarch"), Subdir("Conda/Default", "osx-arm64")),
    (Subdir("", "linux-64"), Subdir("linux-64", "noarch")),
)
_STALLS: tuple[tuple[str, str], ...] = (
    ("DeleteObjects", ""),
    ("DeleteObjects", "/shards/"),
    ("DeleteObjects", "leaves/"),
    ("PutObject", "heads/"),
    ("PutObject", "commits/"),
    ("PutObject", "staging/"),
    ("PutObject", "/repodata"),
    ("PutObject", "repodata_shards"),
    ("PutObject", "marks/"),
    ("SendMessage", ""),
    ("ListObjectsV2", "staging/"),
    ("HeadObject", ".conda"),
)
_STALLS_OF_MERGE = (
    ("PutObject", "heads/"),
    ("PutObject", "commits/"),
    ("PutObject", "/repodata"),
    ("ListObjectsV2", "staging/"),
)
_STALLS_OF_COLLECTION = (("DeleteObjects", "/shards/"), ("DeleteObjects", "leaves/"))
_ARCHIVES = 0.04
"""How likely a world is one in which packages are archived and restored."""
_STEPS = 0.05
"""How likely a world is one in which other tools' indexes are taken over in steps."""
_PACKS = 0.4
"""How likely a world is one in which leaves are packed.  By dice of its own."""
_NAPS = 0.25
"""How likely a wide world has machines that sleep."""

_FLOODS = 0.1
"""How likely a world is one of floods of files that cannot be indexed.  By dice of its own, too."""
_RETIREMENTS = 0.06
"""How likely a world is one in which channels are moved away and retired.  By dice of its own."""
_MISSTATED = 0.06
"""How likely a world is one of false digests.  By dice of its own, as other worlds were before."""

Kind = Callable[[Habits, Random], Habits]


def habits_of(seed: int) -> Habits:
    """Draw the habits of a seed's world."""
    dice = Random(f"packs, {seed}")  # noqa: S311 - to be repeated; the others are as before
    habits = _habits_without_packs(seed)
    return _with_packs(habits, dice) if dice.random() < _PACKS else habits


def _with_packs(habits: Habits, dice: Random) -> Habits:
    """The same, and the leaves of some commits or of all are in packs."""
    stalls = habits.stalls
    if ("DeleteObjects", "leaves/") in stalls:
        stalls = (*stalls, ("DeleteObjects", "packs/"))
    return replace(
        habits,
        stalls=stalls,
        packed_from=dice.choice((1, 1, 2)),
        pack_bytes=dice.choice((1, PACK_BYTES_MAX, PACK_BYTES_MAX)),
        pack_gap=dice.choice((-1, PACK_GAP_BYTES_MAX)),
        garbles=dice.choice((0.0, 0.0, 0.3)),
    )


def _habits_without_packs(seed: int) -> Habits:
    rng = Random(f"habits of {seed}")  # noqa: S311 - to be repeated, not to be secret
    habits = _draw(rng)
    # By dice of their own: the other worlds are as they were before there were these.
    if Random(f"archives, {seed}").random() < _ARCHIVES:  # noqa: S311 - to be repeated
        return narrow_kinds.archived(habits, rng)
    if Random(f"steps, {seed}").random() < _STEPS:  # noqa: S311 - to be repeated
        return narrow_kinds.taken_over(habits, rng)
    if Random(f"floods of {seed}").random() < _FLOODS:  # noqa: S311 - to be repeated
        return narrow_kinds.flooded(habits, rng)
    if Random(f"retirements of {seed}").random() < _RETIREMENTS:  # noqa: S311
        return narrow_kinds.retired(habits, rng)
    (kind,) = rng.choices([*_WIDE, *_NARROW], [*_WIDE.values(), *_NARROW.values()])
    if Random(f"misstatements of {seed}").random() < _MISSTATED:  # noqa: S311
        return narrow_kinds.misstated(habits, rng)
    habits = kind(habits, rng)
    return _with_others(habits, rng) if kind in _WIDE else habits


def _draw(rng: Random) -> Habits:
    def sometimes(chance: float, most: float) -> float:
        return rng.random() * most if rng.random() < chance else 0.0

    lossless = rng.random() < 0.4
    retention_days = rng.choice((1, 2, 7))
    return Habits(
        subdirs=rng.choice(_CHANNELS),
        turns=rng.choice((60, 120, 240)),
        debounce_seconds=rng.choice((3, 5, 10)),
        shards_first=rng.random() < 0.5,
        page_size=rng.choice((2, 5, 1000)),
        batch_records=rng.choice((1, 3, 1000)),
        names_at_once=rng.choice((1, 256)),
        heads_per_page=rng.choice((0, 8)),
        together_from_bytes=rng.choice((0, 1 << 40)),
        reads_ahead=rng.random() < 0.5,
        garbage_at_once=rng.choice((3, 50_000)),
        step_ms=rng.choice((0, 100, 500_000)),
        merge_ms=rng.choice((0, 500_000)),
        retention_days=retention_days,
        new_extractor=rng.random() < 0.3,
        indexed_before=rng.choice((0.0, 0.0, 0.5)),
        dropped=0.0 if lossless else sometimes(0.6, 0.5),
        duplicated=sometimes(0.5, 0.5),
        delayed=sometimes(0.5, 0.5),
        killed=sometimes(0.5, 0.1),
        unanswered=sometimes(0.5, 0.15),
        sleeps=sometimes(0.5, 0.1),
        late=0.0 if lossless else sometimes(0.5, 1.0),
        stalls=tuple(rng.sample(_STALLS, rng.choice((0, 1, 2)))),
        steps=rng.choice((1, 3, 10)),
        throttled=sometimes(0.5, 0.2),
        oversleeps=rng.random() < 0.3,
        acts=rng.choice((0.05, 0.2)),
        places=rng.choice((2, 4)),
        favourite=rng.choice((0.0, 0.5)),
        variants=rng.choice((1, 3)),
        deletes=rng.choice((0.2, 0.5, 0.8)),
        slow=0.0,
        odd=sometimes(0.5, 0.1),
        others=0.0 if lossless else sometimes(0.3, 0.2),
        configures=sometimes(0.5, 0.5),
        reconciles=rng.choice((0.0, 0.01, 0.05)),
        jumps=rng.choice((0.0, 0.01, 0.05)),
        amends=0.0,
        jump_hours=(1, 6, 23, 26, 24 * retention_days + 3),
        switches=0.0,
        archives=0.0 if lossless else sometimes(0.3, 0.3),
    )


def _crowd(habits: Habits, rng: Random) -> Habits:
    """Let merges of one subdir overlap, which its FIFO group hardly ever lets happen."""
    return replace(
        habits,
        subdirs=habits.subdirs[:1],
        turns=60,
        batch_records=1000,
        indexed_before=0.0,
        dropped=0.0,
        duplicated=0.0,
        late=0.0,
        killed=0.0,
        unanswered=0.0,
        stalls=(rng.choice(_STALLS_OF_MERGE),),
        steps=10,
        sleeps=0.0,
        throttled=0.1,
        oversleeps=True,
        acts=0.1,
        places=rng.choice((1, 2)),
        deletes=0.5,
        odd=0.0,
        archives=0.0,
        others=0.0,
        configures=0.0,
        reconciles=0.0,
        jumps=0.0,
    )


def _age(habits: Habits, rng: Random) -> Habits:
    """Let much become garbage, and what becomes garbage come back."""
    return replace(
        habits,
        subdirs=habits.subdirs[:1],
        turns=240,
        garbage_at_once=50_000,
        step_ms=500_000,
        retention_days=1,
        new_extractor=False,
        indexed_before=0.0,
        dropped=0.0,
        duplicated=0.0,
        delayed=0.0,
        killed=0.0,
        unanswered=0.0,
        sleeps=0.0,
        stalls=(rng.choice(_STALLS_OF_COLLECTION),),
        steps=10,
        throttled=0.0,
        oversleeps=True,
        acts=0.1,
        places=2,
        favourite=0.8,
        deletes=0.5,
        variants=1,
        odd=0.0,
        archives=0.0,
        others=0.0,
        reconciles=0.02,
        jumps=0.1,
        jump_hours=(1, 26, 27),
    )


def _neglect(habits: Habits, rng: Random) -> Habits:
    """Let events get lost, and others write over the index, so that all rests on reconcile."""
    return replace(
        habits,
        turns=120,
        dropped=rng.choice((0.3, 0.6, 1.0)),
        acts=0.2,
        others=0.1,
        jumps=0.0,
    )


def _storm(habits: Habits, rng: Random) -> Habits:
    """Let so much fail that messages end in the dead-letter queues."""
    return replace(
        habits,
        turns=400,
        killed=0.02,
        unanswered=rng.choice((0.3, 0.4)),
        steps=1,
        acts=0.01,
        reconciles=0.01,
    )


def _as_drawn(habits: Habits, _rng: Random) -> Habits:
    """Let everything happen a little."""
    return habits


def _with_others(habits: Habits, rng: Random) -> Habits:
    """The same, some worlds with operators, administrators, machines that sleep, slow packages.

    Where machines sleep, superseded generations are kept for no longer than such a machine sleeps.
    """
    amends = rng.choice((0.0, 0.0, 0.02, 0.1))
    # More often where there are pins to be lost by it.
    never = (0.0,) if amends else (0.0, 0.0, 0.0)
    habits = replace(habits, amends=amends, switches=rng.choice((*never, 0.02, 0.1)))
    if rng.random() < _NAPS:
        habits = replace(habits, naps=True, retention_days=1)
    return replace(habits, slow=rng.choice((0.0, 0.0, 0.2, 0.8)))


_WIDE: Mapping[Kind, int] = {_as_drawn: 14, _crowd: 4, _age: 14, _neglect: 10, _storm: 5}
"""In which anything happens a little, and some things more; with how many of a hundred seeds."""
_NARROW: Mapping[Kind, int] = {
    narrow_kinds.races: 8,
    narrow_kinds.amended: 5,
    narrow_kinds.patched: 5,
    narrow_kinds.restored: 8,
    narrow_kinds.mistaken: 5,
    narrow_kinds.napping: 5,
    narrow_kinds.emptied: 6,
    narrow_kinds.refilled: 6,
    narrow_kinds.lied_to: 5,
}
