"""What the queue would drop is not sent; whatever it might take is."""

from __future__ import annotations

import pytest

from sluice.errors import Unavailable
from sluice.limits import DEDUPLICATION_IDS_CACHED_MAX
from sluice.storage.deduplicating_queue import DEDUPLICATION_MS, DeduplicatingQueue


class Queue:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.changed: list[tuple[str, int]] = []
        self.fails = False

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:
        assert (body, group) == ("body", "group")
        if self.fails:
            raise Unavailable("down")
        self.sent.append(deduplication_id)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        self.changed.append((receipt_handle, seconds))


class World:
    def __init__(self) -> None:
        self.now = 1_000_000
        self.queue = Queue()
        self.once = DeduplicatingQueue(self.queue, lambda: self.now)

    def send(self, deduplication_id: str) -> None:
        self.once.send("body", group="group", deduplication_id=deduplication_id)


def test_the_same_request_is_sent_once_and_every_other_one_as_well() -> None:
    world = World()
    for window in ("1", "1", "2", "1", "2", "3"):
        world.send(window)
    assert world.queue.sent == ["1", "2", "3"]


def test_what_the_queue_has_forgotten_is_sent_again() -> None:
    world = World()
    world.send("1")
    world.now += DEDUPLICATION_MS - 1
    world.send("1")
    assert world.queue.sent == ["1"]
    world.now += 1
    world.send("1")
    assert world.queue.sent == ["1", "1"]


def test_a_clock_that_was_set_back_makes_nothing_known() -> None:
    world = World()
    world.send("1")
    world.now -= 1
    world.send("1")
    assert world.queue.sent == ["1", "1"]


def test_what_the_queue_did_not_take_is_sent_again() -> None:
    world = World()
    world.queue.fails = True
    with pytest.raises(Unavailable):
        world.send("1")
    world.queue.fails = False
    world.send("1")
    assert world.queue.sent == ["1"]


def test_memory_is_bounded() -> None:
    world = World()
    for number in range(3 * DEDUPLICATION_IDS_CACHED_MAX):
        world.send(str(number))
    assert len(world.once._sent_at) <= DEDUPLICATION_IDS_CACHED_MAX
    assert len(world.queue.sent) == 3 * DEDUPLICATION_IDS_CACHED_MAX


def test_messages_are_given_back_as_ever() -> None:
    world = World()
    world.once.change_visibility("handle", 7)
    assert world.queue.changed == [("handle", 7)]
