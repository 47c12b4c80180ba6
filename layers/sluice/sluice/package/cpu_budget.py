"""The limit on the CPU time for reading one package, so that none delays the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from sluice.errors import LimitExceeded


def within_cpu_budget(
    chunks: Iterable[bytes],
    file: str,
    *,
    seconds_max: float,
    cpu_seconds: Callable[[], float] = time.thread_time,
) -> Iterator[bytes]:
    """Pass ``chunks`` on, of which each takes little time to make; raises ``LimitExceeded``.

    ``cpu_seconds``: the CPU time of the thread that makes the chunks.
    """
    deadline = cpu_seconds() + seconds_max
    for chunk in chunks:
        yield chunk
        if cpu_seconds() > deadline:
            raise LimitExceeded(
                "unpacking-too-slow",
                f"{file}: its metadata was not complete after {seconds_max:g} s of CPU. info/ must "
                "be small and at the start of the archive.",
            )
