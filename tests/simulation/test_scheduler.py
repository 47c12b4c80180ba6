"""What the simulations stand on: actors do nothing unasked, and the same schedule is one run."""

from __future__ import annotations

from functools import partial

import pytest

from sluice.storage.object_store import ObjectHeaders
from testkit.memory_store import MemoryStore
from testkit.scheduler import Actor, Killed, Loses, Stage
from tests.simulation.stories import with_upload

JSON = ObjectHeaders("application/json")


def three_writes(store: MemoryStore, who: str) -> str:
    for number in range(3):
        store.put(f"{who}/{number}", b"x", JSON)
    return who


def test_an_actor_makes_a_request_only_when_told_to() -> None:
    store = MemoryStore()
    with Stage(store) as stage:
        a, b = (stage.actor(partial(three_writes, store, who)) for who in "ab")
        assert a.next == ("PutObject", "a/0")
        assert store.keys() == []
        a.run(1)
        b.run(2)
        a.run_to("PutObject", "a/2")
        assert store.keys() == ["a/0", "a/1", "b/0", "b/1"]
        assert (a.finish(), b.finish()) == ("a", "b")
    assert len(store.keys()) == 6


def test_the_same_schedule_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        world = with_upload()
        with Stage(world.channel, world.state, world.queue) as stage:
            a, b = stage.actor(world.merge), stage.actor(world.merge)
            for steps in (3, 1, 4, 1, 5, 9, 2, 6):
                a.run(steps)
                b.run(steps)
            a.finish()
            b.finish()
        runs.append((world.channel.requests, world.state.requests, world.published()))
    assert runs[0] == runs[1]


def test_the_dead_make_no_further_request_whatever_they_catch() -> None:
    store = MemoryStore()

    def stubborn() -> None:
        try:
            store.put("a", b"x", JSON)
        finally:
            store.put("cleanup", b"x", JSON)

    with Stage(store) as stage:
        stage.actor(stubborn).kill()
        assert store.keys() == []
        after: Actor[None] = stage.actor(stubborn)
        after.kill_after_next()
        with pytest.raises(Killed):
            after.finish()
    assert store.keys() == ["a"]


@pytest.mark.parametrize(("loses", "landed"), [(Loses.REQUEST, False), (Loses.ANSWER, True)])
def test_one_lost_answer_is_one_lost_answer(loses: Loses, *, landed: bool) -> None:
    store = MemoryStore()

    def twice() -> list[bool]:
        return [store.put_if(key, b"x", JSON, expected=None) is not None for key in "ab"]

    with Stage(store) as stage:
        actor = stage.actor(twice)
        actor.lose(loses)
        assert actor.next == ("PutObject", "b")
        assert ("a" in store.objects) is landed
        assert actor.finish() == [False, True]


def test_what_a_check_finds_wrong_is_raised_past_the_handlers_of_the_work() -> None:
    store = MemoryStore()

    def deaf() -> None:
        try:
            three_writes(store, "a")
        except Exception:  # noqa: BLE001 - this is what must not hide it
            return

    def check() -> None:
        assert len(store.keys()) < 2, "two keys"

    with pytest.raises(AssertionError, match="two keys"), Stage(store, on_step=check) as stage:
        stage.actor(deaf).run(3)
    assert store.keys() == ["a/0", "a/1"]
