"""The head: swapped against exactly one version, whatever the write answers."""

from __future__ import annotations

import json

import pytest

from sluice.catalog import commit
from sluice.catalog.commit import Commit
from sluice.catalog.head import BEFORE_FIRST, Head, head_object, read_head
from sluice.errors import Corrupt, Missing, TooNew, Unavailable
from sluice.limits import (
    GARBAGE_AGE_SECONDS,
    MERGE_ATTEMPTS_MAX,
    SWAP_SECONDS_MAX,
    WRITE_ATTEMPTS_MAX,
)
from sluice.storage.versioned_object import LOST, ObjectVersion, read_newest
from testkit.memory_store import LostAnswer, MemoryStore
from testkit.scheduler import Loses
from tests.support.staging_records import SUBDIR

DAY = 24 * 60 * 60


def head(generation: int = 1, *, writer: str = "w") -> Head:
    """A head."""
    return Head(generation=generation, epoch=0, commit="c" * 64, tree="t" * 64, writer=writer)


def put(state: MemoryStore, new: Head) -> ObjectVersion[Head]:
    """Have this head there."""
    version = head_object(state, SUBDIR).swap(
        new, expected=read_head(state, SUBDIR).etag, not_after_ms=None
    )
    assert version is not LOST
    return version


def test_before_the_first_commit_there_is_no_head() -> None:
    assert read_head(MemoryStore(), SUBDIR) == BEFORE_FIRST


def test_a_head_that_was_swapped_in_is_read_back_with_its_etag() -> None:
    state = MemoryStore()
    first = head_object(state, SUBDIR).swap(head(1), expected=None, not_after_ms=None)
    assert first is not LOST
    assert read_head(state, SUBDIR) == first
    second = head_object(state, SUBDIR).swap(head(2), expected=first.etag, not_after_ms=None)
    assert second is not LOST
    assert read_head(state, SUBDIR) == second == ObjectVersion(head(2), second.etag)
    assert state.keys() == [SUBDIR.head_key]


def test_a_head_that_somebody_else_has_swapped_meanwhile_is_lost() -> None:
    state = MemoryStore()
    before = put(state, head(1))
    theirs = put(state, head(2, writer="other"))
    assert head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=None) is LOST
    assert head_object(state, SUBDIR).swap(head(2), expected=None, not_after_ms=None) is LOST
    assert read_head(state, SUBDIR) == theirs


def test_two_writers_of_the_same_content_are_told_apart() -> None:
    state = MemoryStore()
    before = put(state, head(1))
    assert (
        head_object(state, SUBDIR).swap(
            head(2, writer="a"), expected=before.etag, not_after_ms=None
        )
        is not LOST
    )
    assert (
        head_object(state, SUBDIR).swap(
            head(2, writer="b"), expected=before.etag, not_after_ms=None
        )
        is LOST
    )


def test_a_write_whose_answer_was_lost_is_found_to_have_landed() -> None:
    state = MemoryStore()
    before = put(state, head(1))
    answers = iter([LostAnswer()])

    def lose(operation: str, _key: str) -> None:
        if operation == "PutObject" and (lost := next(answers, None)):
            raise lost

    state.after = lose
    won = head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=None)
    assert won is not LOST
    assert read_head(state, SUBDIR) == won
    assert [operation for operation, _ in state.operations()].count("PutObject") == 2


def test_a_write_that_did_not_land_is_sent_again_under_the_same_condition() -> None:
    state = MemoryStore()
    before = put(state, head(1))
    failures = iter([LostAnswer(), LostAnswer()])

    def fail(operation: str, _key: str) -> None:
        if operation == "PutObject" and (lost := next(failures, None)):
            raise lost

    state.before = fail
    assert (
        head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=None)
        is not LOST
    )
    assert read_head(state, SUBDIR).value == head(2)


def test_a_write_that_landed_and_was_overtaken_counts_as_lost() -> None:
    """What it committed is in the history; starting over finds that and changes nothing."""
    state = MemoryStore()
    before = put(state, head(1))

    def overtake(operation: str, _key: str) -> None:
        if operation == "PutObject":
            state.after = lambda _operation, _key: None
            put(state, head(3, writer="other"))
            raise LostAnswer

    state.after = overtake
    assert head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=None) is LOST
    assert read_head(state, SUBDIR).value == head(3, writer="other")


def test_a_write_that_never_settles_is_given_up_as_unavailable() -> None:
    state = MemoryStore()
    before = put(state, head(1))

    def fail(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise LostAnswer

    state.before = fail
    with pytest.raises(Unavailable, match=f"could not be swapped in {WRITE_ATTEMPTS_MAX} tries"):
        head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=None)
    state.before = lambda _operation, _key: None
    assert read_head(state, SUBDIR) == before


def asleep(state: MemoryStore, now: list[int], *, lose: Loses | None) -> None:
    """Have who is about to write the head sleep for a day, maybe after a first try got lost."""
    tries = iter([lose, None])

    def before(operation: str, _key: str) -> None:
        if operation == "PutObject":
            lost = next(tries) if lose else None
            if lost is Loses.REQUEST:
                raise LostAnswer
            now[0] += 0 if lost else DAY

    def after(operation: str, _key: str) -> None:
        if operation == "PutObject" and lose is Loses.ANSWER:
            now[0] += DAY
            raise LostAnswer

    state.before, state.after = before, after


def test_a_head_is_swapped_at_its_deadline_and_no_later() -> None:
    now = [1_700_000_000]
    state = MemoryStore(lambda: now[0])
    before = put(state, head(1))
    deadline = state.now_ms() + 1000
    now[0] += 2
    late = head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=deadline)
    assert late is LOST
    assert read_head(state, SUBDIR) == before
    now[0] -= 1
    assert (
        head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=deadline)
        is not LOST
    )
    assert read_head(state, SUBDIR).value == head(2)


@pytest.mark.parametrize("lose", [None, Loses.REQUEST], ids=["first", "second"])
def test_who_sleeps_before_any_try_begins_again(lose: Loses | None) -> None:
    now = [1_700_000_000]
    state = MemoryStore(lambda: now[0])
    before = put(state, head(1))
    asleep(state, now, lose=lose)
    deadline = state.now_ms() + 1000
    swapped = head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=deadline)
    assert swapped is LOST
    assert read_head(state, SUBDIR) == before


def test_who_sleeps_after_a_try_that_landed_finds_that_out() -> None:
    now = [1_700_000_000]
    state = MemoryStore(lambda: now[0])
    before = put(state, head(1))
    asleep(state, now, lose=Loses.ANSWER)
    deadline = state.now_ms() + 1000
    won = head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=deadline)
    assert won is not LOST
    assert won == read_head(state, SUBDIR)
    assert won.value == head(2)


def test_what_is_read_of_a_head_is_read_again_from_the_head_that_took_its_place() -> None:
    state = MemoryStore()
    put(state, head(1))
    seen: list[int] = []

    def read(version: ObjectVersion[Head]) -> str:
        seen.append(version.value.generation)
        if version.value.generation < 3:
            put(state, head(version.value.generation + 1))
            raise Missing("trees/t", kind="tree", referrer="a commit")
        return "read"

    assert read_newest(head_object(state, SUBDIR), read) == "read"
    assert seen == [1, 2, 3]


def test_what_the_head_refers_to_and_is_not_there_is_lost() -> None:
    state = MemoryStore()
    put(state, head(1))

    def read(_version: ObjectVersion[Head]) -> None:
        raise Missing("trees/t", kind="tree", referrer="a commit")

    with pytest.raises(Corrupt, match="a commit refers to the tree trees/t, which does not exist"):
        read_newest(head_object(state, SUBDIR), read)


def test_heads_that_come_faster_than_they_can_be_read_are_unavailable() -> None:
    state = MemoryStore()
    put(state, head(1))

    def read(version: ObjectVersion[Head]) -> None:
        put(state, head(version.value.generation + 1))
        raise Missing("trees/t", kind="tree", referrer="a commit")

    with pytest.raises(Unavailable, match=f"{MERGE_ATTEMPTS_MAX} times"):
        read_newest(head_object(state, SUBDIR), read)


def test_the_deadline_of_a_head_leaves_the_collector_far_behind() -> None:
    """S3 takes a request for 15 minutes after it was signed; clocks may be wrong by hours."""
    assert SWAP_SECONDS_MAX + 15 * 60 + 20 * 60 * 60 < GARBAGE_AGE_SECONDS


def test_a_head_that_vanished_is_lost() -> None:
    state = MemoryStore()
    before = put(state, head(1))
    state.remove(SUBDIR.head_key)
    assert head_object(state, SUBDIR).swap(head(2), expected=before.etag, not_after_ms=None) is LOST


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", Corrupt),
        (b"{}", Corrupt),
        (b'{"format":1,"generation":"1"}', Corrupt),
        (b'{"format":2}', TooNew),
    ],
)
def test_a_head_that_cannot_be_read_is_not_no_head(body: bytes, error: type[Corrupt]) -> None:
    state = MemoryStore()
    state.upload(SUBDIR.head_key, body)
    with pytest.raises(error, match=SUBDIR.head_key):
        read_head(state, SUBDIR)
    assert state.body(SUBDIR.head_key) == body


def test_a_commit_comes_back_and_keeps_room_for_configuration_and_patches() -> None:
    one = Commit(
        generation=2,
        tree="t",
        parent="p",
        at=5,
        added=["a"],
        replaced=[],
        removed=["b"],
        rejected=[],
        taken_over=3,
        taken_over_shards="s",
        config="c",
        patch="q",
    )
    assert commit.decode_commit(commit.encode_commit(one), what="commit") == one
    newer = json.dumps({**json.loads(commit.encode_commit(one)), "format": 2}).encode()
    with pytest.raises(TooNew, match="commit has format 2"):
        commit.decode_commit(newer, what="commit")
