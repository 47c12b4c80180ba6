"""A flood of packages that are slow to read, on virtual time: nobody else waits for them.

Functions take the CPU time that their code takes here, at the share of a CPU that the template
gives them, and a fixed time for their requests.  What comes into a queue waits for a worker.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from time import thread_time
from typing import Any
from unittest import mock

import pytest

from sluice.errors import BadPackage
from sluice.extract import lanes
from sluice.package import reader
from sluice.package.read_limits import FULL_READ, ReadLimits
from testkit.bombs import bz2_bomb
from testkit.channel import conda
from testkit.memory_queue import Message
from testkit.system import SLOW_QUEUE, System
from tests.support.template import TEMPLATE

START_MS = 1_750_000_000_000
REQUESTS_MS = 60
"""Four requests to S3 and SQS, one after the other, of 15 ms each (``docs/performance.md``)."""
CPU_SHARE: float = TEMPLATE["Parameters"]["ExtractMemorySize"]["Default"] / 1769
BOMBS = 200
UPLOADS = 20
UPLOAD_INTERVAL_MS = 2000
BOMB = bz2_bomb()


@dataclass
class Reading:
    """``_from_memory``, which measures its CPU time, once for the same bytes and limits."""

    cpu_seconds: float = 0.0
    """Of all readings so far."""
    _plain: Callable[..., Any] = reader._from_memory
    _known: dict[tuple[bytes, ReadLimits], tuple[Any, float]] = field(default_factory=dict)

    def __call__(self, body: bytes, file: str, limits: ReadLimits) -> Any:
        """See ``reader._from_memory``."""
        if (body, limits) not in self._known:
            started = thread_time()
            try:
                outcome = self._plain(body, file, limits)
            except BadPackage as bad:
                outcome = bad
            self._known[body, limits] = (outcome, thread_time() - started)
        outcome, cpu_seconds = self._known[body, limits]
        self.cpu_seconds += cpu_seconds
        if isinstance(outcome, BadPackage):
            raise type(outcome)(outcome.code, outcome.sentence)
        return outcome


class Flood:
    """Both lanes of extract with so many workers each, and merges, each as soon as it is due."""

    def __init__(self, *, workers: int, slow_workers: int) -> None:
        self.indexed_ms: dict[str, float] = {}
        """When each package came into an index."""
        self.system = System(START_MS)
        self._reading = Reading()
        self._now = 0.0
        self._order = count()
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._waiting: dict[str, deque[str]] = {"": deque(), SLOW_QUEUE: deque()}
        self._free = {"": workers, SLOW_QUEUE: slow_workers}

    def upload(self, key: str, body: bytes, *, at_ms: float) -> None:
        """Have a package uploaded."""

        def happens() -> None:
            self.system.upload({key: body})
            self.system.notify(key)
            self._waiting[""].append(self.system.uploads.bodies.pop())

        self._at(at_ms, happens)

    def run(self) -> None:
        """Let everything happen."""
        with mock.patch.object(reader, "_from_memory", self._reading):
            while self._coming:
                self._now, _, happens = heapq.heappop(self._coming)
                self.system.now_ms = START_MS + round(self._now)
                happens()
                for queue in self._waiting:
                    self._start_workers(queue)

    def _at(self, at_ms: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (at_ms, next(self._order), happens))

    def _start_workers(self, queue: str) -> None:
        while self._free[queue] and self._waiting[queue]:
            self._free[queue] -= 1
            body = self._waiting[queue].popleft()
            takes_ms = self._work(partial(self.system.deliver_upload, body, queue=queue))
            deferred, self.system.slow_uploads.bodies = self.system.slow_uploads.bodies, []
            self._at(self._now + takes_ms, partial(self._end, queue, deferred))
            self._request_merges(takes_ms)

    def _end(self, queue: str, deferred: Iterable[str]) -> None:
        self._free[queue] += 1
        self._waiting[SLOW_QUEUE].extend(deferred)

    def _request_merges(self, takes_ms: float) -> None:
        """Have what was asked for happen, once MergeQueue delivers it."""
        requests, self.system.merges.messages = self.system.merges.messages, []
        delivered_ms = self._now + takes_ms + self.system.debounce_seconds * 1000
        for request in requests:
            self._at(delivered_ms, partial(self._merge, request))

    def _merge(self, request: Message) -> None:
        self.system.merges.messages = [request]
        done = len(self.system.reports)
        takes_ms = self._work(self.system.deliver_merges)
        for report in self.system.reports[done:]:
            for filename in report.difference.added:
                self.indexed_ms[filename] = self._now + takes_ms
        self._request_merges(takes_ms)

    def _work(self, work: Callable[[], object]) -> float:
        """Do something; returns for how long it keeps a worker, ms."""
        before, started = self._reading.cpu_seconds, thread_time()
        known = dict(self._reading._known)
        work()
        measured = thread_time() - started
        fresh = [one for key, one in self._reading._known.items() if key not in known]
        measured -= sum(seconds for _, seconds in fresh)
        cpu_seconds = measured + self._reading.cpu_seconds - before
        return REQUESTS_MS + 1000 * cpu_seconds / CPU_SHARE


@contextmanager
def one_lane_for_all() -> Iterator[None]:
    """Read everything with the full limits at once, as before there were two lanes."""
    with mock.patch.object(lanes, "FIRST_READ", FULL_READ):
        yield


def p95_seconds(*, bombs: int, workers: int, slow_workers: int) -> float:
    """How long one channel's uploads take to be indexed while another's bombs come."""
    flood = Flood(workers=workers, slow_workers=slow_workers)
    for number in range(bombs):
        flood.upload(f"flood/linux-64/bomb-{number}-0.tar.bz2", BOMB, at_ms=0)
    uploaded: dict[str, float] = {}
    for number in range(UPLOADS):
        at_ms = 1 + number * UPLOAD_INTERVAL_MS
        index = {"name": "app", "version": str(number), "build": "0", "build_number": 0}
        package = conda({**index, "depends": [], "subdir": "linux-64"})
        flood.upload(f"team/{package.path}", package.body, at_ms=at_ms)
        uploaded[package.filename] = at_ms
    flood.run()
    took = sorted(flood.indexed_ms[filename] - at_ms for filename, at_ms in uploaded.items())
    rejects = flood.system.state.body("rejects/flood/linux-64.json") if bombs else b""
    assert rejects.count(b'"info-too-large"') == bombs
    return took[int(0.95 * UPLOADS) - 1] / 1000


@pytest.mark.parametrize(("workers", "slow_workers"), [(10, 2), (50, 10)])
def test_a_flood_of_bombs_does_not_hold_up_another_channel(workers: int, slow_workers: int) -> None:
    quiet = p95_seconds(bombs=0, workers=workers, slow_workers=slow_workers)
    flooded = p95_seconds(bombs=BOMBS, workers=workers, slow_workers=slow_workers)
    assert flooded <= 2 * quiet


def test_it_would_with_one_lane_for_all() -> None:
    quiet = p95_seconds(bombs=0, workers=10, slow_workers=2)
    with one_lane_for_all():
        flooded = p95_seconds(bombs=BOMBS, workers=10, slow_workers=2)
    assert flooded > 2 * quiet
