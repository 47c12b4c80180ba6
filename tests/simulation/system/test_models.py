"""The models do what SQS and S3 say they do, where ``tests/store`` does not look."""

from __future__ import annotations

from random import Random

import pytest

from sluice.errors import Unavailable
from sluice.storage.object_store import ObjectHeaders
from testkit.memory_store import LostAnswer, ignore
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.clock import MINUTE, SECOND, Clock
from tests.simulation.system.queues import Fifo, StandardQueue

JSON = ObjectHeaders("application/json")


def standard(clock: Clock) -> StandardQueue:
    return StandardQueue("q", clock, Random(1), visibility_seconds=30, receives_max=2)  # noqa: S311


def fifo(clock: Clock) -> Fifo:
    return Fifo("q", clock, Random(1), visibility_seconds=30, receives_max=20)  # noqa: S311


def bucket(clock: Clock) -> Bucket:
    return Bucket(clock, Random(1), page_size=1000)  # noqa: S311


def lose(_operation: str, _key: str) -> None:
    raise LostAnswer


def bodies(queue: Fifo | StandardQueue) -> list[str]:
    """Receive all there is to receive now."""
    return [delivery.body for delivery in iter(queue.receive, None)]


def test_a_message_in_flight_is_hidden_until_its_visibility_timeout() -> None:
    clock = Clock()
    queue = standard(clock)
    queue.put("a")
    assert bodies(queue) == ["a"]
    assert bodies(queue) == []
    clock.advance(30 * SECOND)
    delivery = queue.receive()
    assert delivery
    assert (delivery.body, delivery.receive_count) == ("a", 2)


def test_a_message_for_a_tenant_is_handed_out_like_any_other_and_as_often_as_it_was_sent() -> None:
    queue = standard(Clock())
    queue.send_for("team", "a")
    queue.send_for("team", "a")
    queue.before = lose
    with pytest.raises(Unavailable):
        queue.send_for("team", "b")
    assert bodies(queue) == ["a", "a"]


def test_a_message_that_was_handed_out_too_often_is_dead() -> None:
    clock = Clock()
    queue = standard(clock)
    queue.put("a")
    for _ in range(3):
        bodies(queue)
        clock.advance(30 * SECOND)
    assert queue.messages == []
    assert [message.body for message in queue.dead] == ["a"]


def test_a_message_can_be_deleted_and_given_back_only_while_in_flight() -> None:
    clock = Clock()
    queue = standard(clock)
    queue.put("a")
    delivery = queue.receive()
    assert delivery
    queue.change_visibility(delivery.receipt_handle, 5)
    clock.advance(5 * SECOND)
    queue.delete(delivery.receipt_handle)
    assert len(queue.messages) == 1
    with pytest.raises(Unavailable):
        queue.change_visibility(delivery.receipt_handle, 5)
    again = queue.receive()
    assert again
    queue.delete(again.receipt_handle)
    assert queue.messages == []


def test_a_group_waits_for_its_first_message_and_for_no_other_group() -> None:
    clock = Clock()
    queue = fifo(clock)
    for number, group in enumerate("aab"):
        queue.send(f"{group}{number}", group=group, deduplication_id=str(number))
    assert sorted(bodies(queue)) == ["a0", "b2"]
    clock.advance(30 * SECOND)
    assert sorted(bodies(queue)) == ["a0", "b2"]


def test_an_id_is_remembered_for_five_minutes_even_when_its_message_is_gone() -> None:
    clock = Clock()
    queue = fifo(clock)
    queue.send("a", group="g", deduplication_id="1")
    delivery = queue.receive()
    assert delivery
    queue.delete(delivery.receipt_handle)
    clock.advance(5 * MINUTE - 1)
    queue.send("b", group="g", deduplication_id="1")
    assert bodies(queue) == []
    clock.advance(1)
    queue.send("c", group="g", deduplication_id="1")
    assert bodies(queue) == ["c"]


def test_a_message_says_how_long_it_waited_until_it_was_handed_out_first() -> None:
    clock = Clock()
    queue = fifo(clock)
    queue.send("a", group="g", deduplication_id="1")
    clock.advance(7)
    waited = []
    for _ in range(2):
        delivery = queue.receive()
        assert delivery
        waited.append((delivery.receive_count, delivery.waited_ms))
        clock.advance(30 * SECOND)
    assert waited == [(1, 7), (2, 7)]


def test_a_write_without_an_answer_may_land_later_but_only_where_its_condition_holds() -> None:
    clock = Clock()
    store = bucket(clock)
    store.late = 1.0
    first = store.put_if("a", b"1", JSON, expected=None)
    store.before = lose
    assert store.put_if("a", b"2", JSON, expected=first) is None
    assert store.put_if("b", b"2", JSON, expected=first) is None
    with pytest.raises(Unavailable):
        store.put("c", b"2", JSON)
    assert (store.keys(), store.body("a")) == (["a"], b"1")
    clock.advance(2 * MINUTE)
    assert (store.keys(), store.body("a"), store.body("c")) == (["a", "c"], b"2", b"2")


def test_each_change_is_told_with_what_was_there_before() -> None:
    clock = Clock()
    store = bucket(clock)
    told: list[tuple[str, bytes | None, bytes | None]] = []
    store.watch = lambda key, before, after, _sender: told.append(
        (key, before.body if before else None, after.body if after else None)
    )
    store.put("a", b"1", JSON)
    store.put("a", b"2", JSON)
    store.delete(["a", "b"])
    assert told == [("a", None, b"1"), ("a", b"1", b"2"), ("a", b"2", None)]


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_change_is_told_with_who_sent_it_however_late_it_lands(lost: str) -> None:
    clock = Clock()
    store = bucket(clock)
    store.late = 1.0
    now = "one"
    store.sender = lambda: now
    told: list[tuple[str, bool, object]] = []
    store.watch = lambda key, _before, after, sender: told.append((key, after is not None, sender))
    store.put("a", b"1", JSON)
    store.put("d", b"1", JSON)
    if lost == "request":
        store.before = lose
    else:
        store.after = lose
    with pytest.raises(Unavailable):
        store.put("b", b"1", JSON)
    assert store.put_if("c", b"1", JSON, expected=None) is None
    with pytest.raises(Unavailable):
        store.delete(["d"])
    store.before = store.after = ignore
    at_once = list(told)
    now = "other"
    store.put("e", b"1", JSON)
    clock.advance(2 * MINUTE)
    first = [("a", True, "one"), ("d", True, "one")]
    assert at_once[:2] == first
    later = told[len(at_once) :]
    assert later[0] == ("e", True, "other")
    assert {sender for _, _, sender in later[1:]} == {"one"}
    landed = {(key, is_there) for key, is_there, _ in told}
    assert landed == {("a", True), ("b", True), ("c", True), ("d", True), ("d", False), ("e", True)}
