"""Pools of threads that may be of none."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def make_thread_pool(threads: int, name: str) -> Executor:
    """So many threads; with one, everything is done at once by whoever asks."""
    return (
        ThreadPoolExecutor(threads, thread_name_prefix=name) if threads > 1 else _InlineExecutor()
    )


class _InlineExecutor(Executor):
    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do it now, and raise what goes wrong."""
        future: Future[T] = Future()
        future.set_result(function(*args, **kwargs))
        return future
