"""Many seeds, on all cores."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.pool
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.simulation.system.play import play

_AT_ONCE = 10
_OBJECTS_PER_COLLECTION = 100_000
"""Of Python's garbage: that of a few plays."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed in which something was not as it must be."""

    seed: int
    what: str

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.what}\n  python -m tests.simulation --seed {self.seed}"


def simulate(seeds: Sequence[int], *, jobs: int) -> Iterator[Failure | None]:
    """Play each seed; yields one result per seed, in any order."""
    with players(jobs) as pool:
        yield from pool.imap_unordered(outcome, seeds, chunksize=_AT_ONCE)


def players(jobs: int) -> multiprocessing.pool.Pool:
    """Processes that play seeds."""
    # Not forked: a fork takes along the locks that other threads of pytest hold.
    return multiprocessing.get_context("spawn").Pool(jobs, _play_fast)


def outcome(seed: int) -> Failure | None:
    """Play a seed; returns what was wrong, if anything was."""
    try:
        play(seed)
    except AssertionError as error:
        return Failure(seed, str(error))
    except Exception:  # noqa: BLE001 - whatever it is, the other seeds are played all the same
        return Failure(seed, traceback.format_exc())
    return None


def _play_fast() -> None:
    """Let Python look for garbage rarely, and never in modules: it takes a tenth of the time."""
    gc.freeze()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
