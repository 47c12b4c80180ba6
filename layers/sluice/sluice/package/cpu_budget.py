"""The CPU time that reading one package may take, so that none holds up those behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from sluice.errors import BadPackage
from sluice.limits import PACKAGE_CPU_SECONDS_MAX


def within_cpu_budget(
    chunks: Iterable[bytes],
    file: str,
    *,
    cpu_seconds: Callable[[], float] = time.thread_time,
    seconds_max: float = PACKAGE_CPU_SECONDS_MAX,
) -> Iterator[bytes]:
    """Pass ``chunks`` on, of which each takes little time to make; raises ``BadPackage``.

    ``cpu_seconds``: the CPU time of the thread that makes the chunks.
    """
    deadline = cpu_seconds() + seconds_max
    for chunk in chunks:
        yield chunk
        if cpu_seconds() > deadline:
            raise BadPackage(
                "unpacking-too-slow",
                f"{file}: after {seconds_max:g} s of CPU its metadata was not complete. Packages "
                "keep info/ small and in front.",
            )
