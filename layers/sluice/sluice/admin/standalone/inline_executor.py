"""A thread pool that may run calls inline."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def make_thread_pool(threads: int, name: str) -> Executor:
    """A pool of ``threads`` threads; with one, calls run inline in the calling thread."""
    return (
        ThreadPoolExecutor(threads, thread_name_prefix=name) if threads > 1 else _InlineExecutor()
    )


class _InlineExecutor(Executor):
    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call the function now, and raise its error."""
        future: Future[T] = Future()
        future.set_result(function(*args, **kwargs))
        return future
