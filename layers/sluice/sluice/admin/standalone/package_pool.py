"""A pool that reads many packages at once: in threads of this process, or in several processes.

A small package costs one request and a quarter of a millisecond of Python.  One thread reads many
of them, by sending requests ahead: threads would take turns at Python's interpreter lock.  A first
index of thousands keeps every core busy, for which processes are needed.  Large packages are read
by threads, because hashing and waiting need no lock.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from concurrent.futures.thread import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import NamedTuple, Protocol

from sluice.admin.standalone.inline_executor import make_thread_pool
from sluice.concurrency import chunks
from sluice.conda.timestamps import Clock
from sluice.errors import Unavailable
from sluice.extract import staging
from sluice.extract.extract import examine
from sluice.layout import PackageKey
from sluice.limits import (
    CONCURRENT_REQUESTS_MAX,
    READ_AHEAD_ALL_MAX,
    READ_AHEAD_BYTES_MAX,
    READ_AHEAD_PACKAGES_MAX,
)
from sluice.storage.object_store import ObjectStore
from sluice.storage.wrappers.reading_ahead import ReadingAhead

PackageSizes = Mapping[PackageKey, int | None]
"""Packages to read, each with its size in bytes where that is known."""
_Batch = Sequence[tuple[PackageKey, int | None]]

PACKAGES_PER_TASK_MAX = 64
"""Packages that one thread reads per task."""
SMALL_PER_TASK_MAX = 512
"""Small packages that one thread reads per task."""
_TASKS_PER_WORKER = 4
"""Tasks per worker, at least, because some take longer than others."""


class Verdict(NamedTuple):
    """The result for one package."""

    key: PackageKey
    staged: bytes | None
    """Its staging record; ``None`` if S3 did not return the package."""
    failure: str = ""


class PackageReaders(Protocol):
    """Reads packages."""

    def read(self, packages: PackageSizes) -> Iterator[list[Verdict]]:
        """Read packages, small ones first, and yield the verdicts as they come."""
        ...


@dataclass(frozen=True, slots=True)
class Examiner:
    """Reads packages one after the other."""

    channel: ObjectStore
    trust_uploader_digests: bool
    clock: Clock
    ahead: int = READ_AHEAD_PACKAGES_MAX
    """Small packages whose requests are under way at once, at most."""

    def __call__(self, batch: _Batch) -> list[Verdict]:
        """Judge each package of a batch."""
        channel = ReadingAhead(self.channel)
        verdicts: list[Verdict] = []
        begun = iter(batch)
        try:
            _begin(channel, islice(begun, self.ahead - 1))
            for key, size in batch:
                _begin(channel, islice(begun, 1))
                verdicts.append(self._judge(channel, key, size))
        finally:
            channel.drop()
        return verdicts

    def _judge(self, channel: ObjectStore, key: PackageKey, size: int | None) -> Verdict:
        try:
            record = examine(
                channel,
                key,
                size_hint=size,
                trust_uploader_digests=self.trust_uploader_digests,
                clock=self.clock,
            )
        except Unavailable as error:  # S3 did not return this one, but perhaps all others
            return Verdict(key, None, str(error))
        return Verdict(key, staging.encode_staging_record(record))


def _begin(channel: ReadingAhead, packages: Iterable[tuple[PackageKey, int | None]]) -> None:
    """Send the requests for those that are read whole and take no time by themselves."""
    for key, size in packages:
        if _is_small(size):
            channel.begin(key.key)


def _is_small(size: int | None) -> bool:
    return size is not None and size <= READ_AHEAD_BYTES_MAX


@dataclass(frozen=True, slots=True)
class ThreadReaders:
    """Reads in threads of this process."""

    examine: Examiner
    workers: int = CONCURRENT_REQUESTS_MAX

    def read(self, packages: PackageSizes) -> Iterator[list[Verdict]]:
        """See ``PackageReaders.read``."""
        small, others = _split(packages)
        for part, workers, most in (
            (small, 1, SMALL_PER_TASK_MAX),
            (others, self.workers, PACKAGES_PER_TASK_MAX),
        ):
            with make_thread_pool(workers, "sluice-reader") as pool:
                yield from _read_as_completed(
                    pool, self.examine, part, workers=workers, per_task_max=most
                )


@dataclass(frozen=True, slots=True)
class ProcessReaders:
    """Reads in separate processes if there are enough packages; else in threads."""

    open_channel: Callable[[], ObjectStore]
    """Opens the channel bucket in a new process, so it must be picklable."""
    processes: int
    fallback: PackageReaders
    """For too few packages to start processes."""
    min_packages: int
    """Number of packages from which on processes are started."""
    trust_uploader_digests: bool = True

    def read(self, packages: PackageSizes) -> Iterator[list[Verdict]]:
        """See ``PackageReaders.read``."""
        if len(packages) < self.min_packages or self.processes < 2:
            yield from self.fallback.read(packages)
            return
        threads = max(1, CONCURRENT_REQUESTS_MAX // self.processes)
        ahead = max(1, min(READ_AHEAD_PACKAGES_MAX, READ_AHEAD_ALL_MAX // self.processes))
        small, others = _split(packages)
        with ProcessPoolExecutor(
            self.processes,
            mp_context=get_context("spawn"),
            initializer=_Worker.begin,
            initargs=(self.open_channel, threads, ahead, self.trust_uploader_digests),
        ) as pool:
            try:
                for part, most in (
                    (small, SMALL_PER_TASK_MAX),
                    (others, PACKAGES_PER_TASK_MAX * threads),
                ):
                    yield from _read_as_completed(
                        pool, _Worker.read, part, workers=self.processes, per_task_max=most
                    )
            except BrokenProcessPool as error:
                raise Unavailable(
                    "a process that read packages died. It may have run out of memory: use fewer "
                    "processes (--processes). A program that calls sluice.index must do so under "
                    'if __name__ == "__main__"'
                ) from error


class _Worker:
    """The state of a worker process."""

    _read: Callable[[_Batch], list[Verdict]]

    @classmethod
    def begin(
        cls,
        open_channel: Callable[[], ObjectStore],
        threads: int,
        ahead: int,
        trust: bool,  # noqa: FBT001 - passed on by the pool
    ) -> None:
        """Open the bucket to read from."""
        # Ctrl-C ends this process in silence, and the one that started it says so.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        examiner = Examiner(open_channel(), trust, lambda: time.time_ns() // 1_000_000, ahead)
        pool = ThreadPoolExecutor(threads)

        def read(batch: _Batch) -> list[Verdict]:
            if all(_is_small(size) for _, size in batch):
                return examiner(batch)
            parts = pool.map(examiner, chunks(batch, 1 + len(batch) // (threads * 4)))
            return [verdict for part in parts for verdict in part]

        cls._read = staticmethod(read)

    @classmethod
    def read(cls, batch: _Batch) -> list[Verdict]:
        """Read some packages."""
        return cls._read(batch)


def _split(packages: PackageSizes) -> tuple[PackageSizes, PackageSizes]:
    """The small packages, and the others."""
    small = {key: size for key, size in packages.items() if _is_small(size)}
    return small, {key: size for key, size in packages.items() if key not in small}


def _read_as_completed(
    pool: Executor,
    read: Callable[[_Batch], list[Verdict]],
    packages: PackageSizes,
    *,
    workers: int,
    per_task_max: int,
) -> Iterator[list[Verdict]]:
    """Submit batches to the pool and yield results as they complete.

    At most two batches per worker are in flight.
    """
    size = min(per_task_max, -(-len(packages) // (workers * _TASKS_PER_WORKER)))
    parts = chunks(packages.items(), max(size, 1))
    under_way: list[Future[list[Verdict]]] = []
    try:
        while True:
            wanted = 2 * workers - len(under_way)
            under_way += [pool.submit(read, part) for part in islice(parts, wanted)]
            if not under_way:
                return
            done = wait(under_way, return_when=FIRST_COMPLETED).done
            # In the order in which they were submitted: that of a set differs from run to run.
            completed = [future for future in under_way if future in done]
            under_way = [future for future in under_way if future not in done]
            for future in completed:
                yield future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
