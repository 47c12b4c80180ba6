"""Concurrency of requests: the caller chooses the executor, not the callee."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Pending(Protocol[R_co]):
    """A pending result.  Call it to wait for the value; it re-raises the error."""

    def __call__(self) -> R_co:
        """Wait for the result.  May be called again."""
        ...


class Executor(Protocol):
    """Runs callables concurrently; ``InOrder`` runs them one after the other (tests)."""

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> list[R]:
        """Apply a function to each item and return the results in the items' order.

        Raises the first error after all calls have ended.
        """
        ...

    def submit(self, function: Callable[[], R], /) -> Pending[R]:
        """Start a call whose result is needed later.

        The call may run now, in the background, or when the result is requested.  If nobody
        requests the result, it may never run.  The function must not submit anything itself: all
        threads could then wait for a free one.
        """
        ...


class InOrder:
    """Runs calls one after the other in the calling thread, for tests that count requests."""

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> list[R]:
        """See ``Executor``."""
        return [function(item) for item in items]

    def submit(self, function: Callable[[], R], /) -> Pending[R]:
        """Call the function now.  Its error is raised when the result is requested."""
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - raised when the result is requested
            failed = error

            def fail() -> R:
                raise failed

            return fail
        return lambda: result


in_order: Executor = InOrder()


class _Threads:
    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sluice")

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> list[R]:
        work = list(items)
        if len(work) < 2:  # a thread would only add its own cost
            return in_order.map(function, work)
        futures = [self._pool.submit(function, item) for item in work]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    def submit(self, function: Callable[[], R], /) -> Pending[R]:
        return self._pool.submit(function).result


def in_threads(workers: int) -> Executor:
    """An executor that runs at most ``workers`` calls at once.

    The threads live as long as the execution environment.  They may share an ``S3Store``, which is
    thread-safe.
    """
    return _Threads(workers)


def weighted_chunks(
    items: Iterable[T], size: int, *, weight: Callable[[T], int], weight_max: int
) -> Iterator[list[T]]:
    """Split into lists of at most ``size`` items that weigh at most ``weight_max`` together.

    An item that is heavier by itself has a list of its own.
    """
    chunk: list[T] = []
    total = 0
    for item in items:
        weighs = weight(item)
        if chunk and (len(chunk) >= size or total + weighs > weight_max):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += weighs
    if chunk:
        yield chunk


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Split into lists of at most ``size``, so that not all results are in memory at once."""
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk
