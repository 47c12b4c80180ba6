"""How many requests are sent at once: the caller decides, not the callee."""

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
        """Wait; may be called again."""
        ...


class Executor(Protocol):
    """Runs callables concurrently; ``InOrder`` runs them one after the other (tests)."""

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> list[R]:
        """Apply a function to each item and return the results in the items' order.

        The first error is raised, after everything that was started has ended.
        """
        ...

    def submit(self, function: Callable[[], R], /) -> Pending[R]:
        """Begin something whose result is wanted later.

        It may be done now, meanwhile, or when it is asked for, and what nobody asks for need not
        be done.  It must not start anything itself: all might wait for a thread that none has.
        """
        ...


class InOrder:
    """One after the other, in this thread: for tests that count or interleave requests."""

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> list[R]:
        """See ``Executor``."""
        return [function(item) for item in items]

    def submit(self, function: Callable[[], R], /) -> Pending[R]:
        """Do it now; what goes wrong is raised where the result is asked for."""
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - kept for whoever asks
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
    """At most ``workers`` at once.

    The threads live as long as the function's execution environment; ``S3Store`` is safe to share
    between them.
    """
    return _Threads(workers)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of at most ``size``, for work whose results must not all be held at once."""
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk
