"""The head: swapped against exactly one version, whatever the write answers."""

from __future__ import annotations

import json

import pytest

from sluice.catalog import commit
from sluice.catalog.commit import BEFORE_FIRST, Commit, Head, HeadVersion, read_head, swap_head
from sluice.errors import Corrupt, TooNew, Unavailable
from sluice.limits import WRITE_ATTEMPTS_MAX
from tests.support.memory_store import LostAnswer, MemoryStore
from tests.support.staged import SUBDIR


def head(generation: int = 1, *, writer: str = "w") -> Head:
    """A head."""
    return Head(generation=generation, epoch=0, commit="c" * 64, tree="t" * 64, writer=writer)


def put(state: MemoryStore, new: Head) -> HeadVersion:
    """Have this head there."""
    version = swap_head(state, SUBDIR, new, expected=read_head(state, SUBDIR).etag)
    assert version
    return version


def test_before_the_first_commit_there_is_no_head() -> None:
    assert read_head(MemoryStore(), SUBDIR) is BEFORE_FIRST


def test_a_head_that_was_swapped_in_is_read_back_with_its_etag() -> None:
    state = MemoryStore()
    first = swap_head(state, SUBDIR, head(1), expected=None)
    assert first
    assert read_head(state, SUBDIR) == first
    second = swap_head(state, SUBDIR, head(2), expected=first.etag)
    assert second
    assert read_head(state, SUBDIR) == second == HeadVersion(head(2), second.etag)
    assert state.keys() == [SUBDIR.head]


def test_a_head_that_somebody_else_has_swapped_meanwhile_is_lost() -> None:
    state = MemoryStore()
    before = put(state, head(1))
    theirs = put(state, head(2, writer="other"))
    assert swap_head(state, SUBDIR, head(2), expected=before.etag) is None
    assert swap_head(state, SUBDIR, head(2), expected=None) is None
    assert read_head(state, SUBDIR) == theirs


def test_two_writers_of_the_same_content_are_told_apart() -> None:
    state = MemoryStore()
    before = put(state, head(1))
    assert swap_head(state, SUBDIR, head(2, writer="a"), expected=before.etag)
    assert swap_head(state, SUBDIR, head(2, writer="b"), expected=before.etag) is None


def test_a_write_whose_answer_was_lost_is_found_to_have_landed() -> None:
    state = MemoryStore()
    before = put(state, head(1))
    answers = iter([LostAnswer()])

    def lose(operation: str, _key: str) -> None:
        if operation == "PutObject" and (lost := next(answers, None)):
            raise lost

    state.after = lose
    won = swap_head(state, SUBDIR, head(2), expected=before.etag)
    assert won
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
    assert swap_head(state, SUBDIR, head(2), expected=before.etag)
    assert read_head(state, SUBDIR).head == head(2)


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
    assert swap_head(state, SUBDIR, head(2), expected=before.etag) is None
    assert read_head(state, SUBDIR).head == head(3, writer="other")


def test_a_write_that_never_settles_is_given_up_as_unavailable() -> None:
    state = MemoryStore()
    before = put(state, head(1))

    def fail(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise LostAnswer

    state.before = fail
    with pytest.raises(Unavailable, match=f"could not be swapped in {WRITE_ATTEMPTS_MAX} tries"):
        swap_head(state, SUBDIR, head(2), expected=before.etag)
    state.before = lambda _operation, _key: None
    assert read_head(state, SUBDIR) == before


def test_a_head_that_vanished_is_lost() -> None:
    state = MemoryStore()
    before = put(state, head(1))
    state.remove(SUBDIR.head)
    assert swap_head(state, SUBDIR, head(2), expected=before.etag) is None


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
    state.upload(SUBDIR.head, body)
    with pytest.raises(error, match=SUBDIR.head):
        read_head(state, SUBDIR)
    assert state.body(SUBDIR.head) == body


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
