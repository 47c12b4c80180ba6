"""Actors that share the in-memory world and take turns, one request at a time.

An actor is a function in a greenlet of its own that stops before each request it makes of a
``MemoryStore`` or ``MemoryQueue`` and goes on when it is told to.  Only one of them ever runs, so
a test that says who takes how many steps, in straight-line code, gives the same run each time.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import greenlet

from testkit.memory_store import LostAnswer

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Hook = Callable[[str, str], None]


class Hooked(Protocol):
    """What makes requests observable."""

    before: Hook
    after: Hook


class Killed(BaseException):  # not an Exception: no handler may survive its process
    """The process died."""


class Loses(Enum):
    """What gets lost on the way: the client cannot tell."""

    REQUEST = auto()
    ANSWER = auto()


def _never(_operation: str, _key: str) -> bool:
    return False


class Stage:
    """Where actors act: the stores and queues whose requests are their steps.

    Leaving its context kills the actors that have not finished.
    """

    def __init__(
        self,
        *hooked: Hooked,
        on_step: Callable[[], None] = lambda: None,
        counts: Callable[[str, str], bool] = lambda _operation, _key: True,
    ) -> None:
        """``on_step`` is called right after each request of any actor; may ``assert``.

        ``counts`` tells, by operation and key, which requests are steps; the others are made in
        passing.  Nothing is lost where a request commutes with all that others may do.
        """
        self._counts = counts
        self._actors: list[Actor[object]] = []
        self._hooked = hooked
        self._on_step = on_step

    def __enter__(self) -> Self:
        for one in self._hooked:
            one.before, one.after = self._before, self._after
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for actor in self._actors:
            actor.kill()
        if kind is None:  # what on_step found wrong must not be missed
            for actor in self._actors:
                actor.raise_violation()

    def actor(self, work: Callable[[], T]) -> Actor[T]:
        """Let somebody do ``work``, as far as its first request."""
        actor = Actor(work, self._on_step, self._counts)
        self._actors.append(actor)
        return actor

    def _before(self, operation: str, key: str) -> None:
        turn = greenlet.getcurrent()
        if isinstance(turn, _Turn):  # else the test itself, which needs no permission
            turn.actor.ask(operation, key)

    def _after(self, _operation: str, _key: str) -> None:
        turn = greenlet.getcurrent()
        if isinstance(turn, _Turn):
            turn.actor.answered()


class _Turn(greenlet.greenlet):
    """The call stack of an actor."""

    def __init__(self, actor: Actor[object], live: Callable[[], None]) -> None:
        super().__init__(live)
        self.actor = actor


class Actor(Generic[T_co]):
    """Somebody who makes a request only when told to."""

    def __init__(
        self,
        work: Callable[[], T_co],
        on_step: Callable[[], None],
        counts: Callable[[str, str], bool],
    ) -> None:
        self.next: tuple[str, str] | None = None
        """The request that it is about to make: operation and key; ``None`` once it is done."""
        self.steps = 0
        """How many requests that count it has made."""
        self._work = work
        self._on_step = on_step
        self._counts = counts
        self._pauses_at: Callable[[str, str], bool] = lambda _operation, _key: True
        self._dead = False
        self._dies_after = False
        self._loses: Loses | None = None
        self._outcome: list[T_co] = []
        self._error: BaseException | None = None
        self._turn = _Turn(self, self._live)
        self._waiting = greenlet.getcurrent()
        """Who let it run, and goes on when it pauses or ends."""
        self._turn.switch()

    # --- for the test ----------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether it has returned, raised or died."""
        return self.next is None

    def run(self, steps: int, *, unless: Callable[[str, str], bool] = _never) -> None:
        """Let it make so many requests, or fewer if it gets done or is about to make such one."""
        first, last = self.steps, self.steps + steps
        self._resume(
            lambda operation, key: (
                self.steps == last or (self.steps > first and unless(operation, key))
            )
        )

    def run_to(self, operation: str, ends: str = "") -> None:
        """Let it run until it is about to make such a request (by how the key ends)."""
        self._resume(lambda found, key: found == operation and key.endswith(ends))
        assert not self.done, f"it never came to {operation} {ends}"

    def finish(self) -> T_co:
        """Let it run to its end and return what its work returned or raise what that raised."""
        self._resume(lambda _operation, _key: False)
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def raise_violation(self) -> None:
        """Raise what ``on_step`` found wrong after one of its steps, if anything."""
        if isinstance(self._error, AssertionError):
            raise self._error

    def kill(self) -> None:
        """Let it die where it stands."""
        self._dead = True
        self._resume(lambda _operation, _key: False)

    def kill_after_next(self) -> None:
        """Let it die when its next request has taken effect, without learning the answer."""
        self._dies_after = True
        self._resume(lambda _operation, _key: False)

    def lose(self, loses: Loses) -> None:
        """Let its next request or the answer to it be lost, and go on to the one behind it."""
        self._loses = loses
        self._resume(lambda _operation, _key: self._loses is None)

    # --- for the hooks, in the actor's greenlet ----------------------------------------------

    def ask(self, operation: str, key: str) -> None:
        """Pause before a request if it is time to, and die if it is time for that."""
        if not self._dead and self._pauses_at(operation, key):
            self.next = operation, key
            self._waiting.switch()
        if self._dead:  # and so for every further request: a dead process makes none
            raise Killed
        self.steps += self._counts(operation, key)
        self._lose_if(Loses.REQUEST)

    def answered(self) -> None:
        """Pass an answer on, or lose it, or die over it."""
        try:
            self._on_step()
        except AssertionError as error:
            self._error = error  # for finish(), past whatever handlers the work has
            self._dies_after = True
        if self._dies_after:
            self._dead = True
            raise Killed
        self._lose_if(Loses.ANSWER)

    def _lose_if(self, what: Loses) -> None:
        if self._loses is what:
            self._loses = None
            raise LostAnswer

    def _live(self) -> None:
        try:
            self._outcome.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again by finish()
            self._error = self._error or error
        self.next = None

    def _resume(self, pauses_at: Callable[[str, str], bool]) -> None:
        if self.done or (not self._dead and self.next and pauses_at(*self.next)):
            return  # it stands there already
        self._pauses_at = pauses_at
        self._turn.parent = self._waiting = greenlet.getcurrent()
        self._turn.switch()
