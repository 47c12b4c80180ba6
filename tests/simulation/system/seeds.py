"""Many seeds, on all cores."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.simulation.system.play import play

_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed in which something was not as it must be."""

    seed: int
    what: str

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.what}\n  python -m tests.simulation --seed {self.seed}"


def simulate(seeds: Sequence[int], *, jobs: int) -> Iterator[Failure | None]:
    """Play each seed; yields one result per seed, in any order."""
    # Not forked: a fork does not take the threads along that actors live in.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_outcome, seeds, chunksize=_AT_ONCE)


def _outcome(seed: int) -> Failure | None:
    try:
        play(seed)
    except AssertionError as error:
        return Failure(seed, str(error))
    except Exception:  # noqa: BLE001 - whatever it is, the other seeds are played all the same
        return Failure(seed, traceback.format_exc())
    return None
