"""How many requests are under way at once: the caller's choice, not the callee's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Gather(Protocol):
    """Apply a function to each item and return the results in the items' order.

    The first error is raised, after everything that was started has ended.
    """

    def __call__(self, function: Callable[[T], R], items: Iterable[T], /) -> list[R]:
        """Do it."""
        ...


def in_order(function: Callable[[T], R], items: Iterable[T], /) -> list[R]:
    """One after the other, in this thread: for tests that count or interleave requests."""
    return [function(item) for item in items]


def in_threads(workers: int) -> Gather:
    """At most ``workers`` at once.

    The threads live as long as the function's execution environment; S3 clients are safe to
    share between them (boto3 documentation, "Multithreading with clients").
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="sluice")

    def gather(function: Callable[[T], R], items: Iterable[T], /) -> list[R]:
        work = list(items)
        if len(work) < 2:  # a thread would only add its own cost
            return in_order(function, work)
        futures = [pool.submit(function, item) for item in work]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    return gather


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of at most ``size``, for work whose results must not all be held at once."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
