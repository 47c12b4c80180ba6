"""For each planted bug the first seed that shows it, hunted on all cores and kept in a table.

What a seed plays changes with the core and with the world around it.  Then the table is made again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.system.bugs import BUGS
from tests.simulation.system.seeds import Failure, outcome, players

SEEDS_MAX = 300
"""Within so many seeds each bug must show."""
HUNT_AGAIN = "make hunt"
"""The command that makes the table again."""
_TABLE = Path(__file__).with_name("bug_seeds.json")


@dataclass(frozen=True, slots=True)
class Find:
    """What came of the hunt for one bug."""

    bug: str
    seed: int | None
    """The first that shows it; ``None`` where none did."""
    others: Sequence[Failure]
    """Of seeds that failed before, in ways that are not the bug's."""

    def __str__(self) -> str:
        if self.seed is not None:
            return f"found after {self.seed + 1} seeds: {self.bug}"
        return "\n  ".join([f"NOT FOUND: {self.bug}", *map(str, self.others)])


def hunt(bugs: Collection[str], *, jobs: int) -> Iterator[Find]:
    """Hunt for each of these bugs; yields one result per bug, in any order."""
    with players(jobs) as pool:
        yield from pool.imap_unordered(_find, bugs)


def play_with(bug: str, seeds: Iterable[int]) -> Find:
    """Play these seeds with the bug planted, until one shows it."""
    others: list[Failure] = []
    for seed in seeds:
        with BUGS[bug].plant():
            failure = outcome(seed)
        if failure and re.search(BUGS[bug].shows, failure.what):
            return Find(bug, seed, others)
        if failure:
            others.append(failure)
    return Find(bug, None, others)


def recorded() -> Mapping[str, int]:
    """The seed that shows each bug, as the last hunt found it."""
    seeds: dict[str, int] = json.loads(_TABLE.read_text())
    return seeds


def record(finds: Iterable[Find]) -> None:
    """Put the result of a hunt into the table, and leave the other bugs in it as they are."""
    seeds = {**recorded(), **{find.bug: find.seed for find in finds}}
    known = {bug: seeds[bug] for bug in BUGS if seeds.get(bug) is not None}
    _TABLE.write_text(json.dumps(known, indent=2) + "\n")


def _find(bug: str) -> Find:
    return play_with(bug, range(SEEDS_MAX))
