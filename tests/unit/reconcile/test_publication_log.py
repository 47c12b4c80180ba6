"""Marks: what was seen published since when, and what may be concluded from it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sluice.errors import Corrupt, TooNew
from sluice.limits import MARKS_MAX
from sluice.publish.fence import Stamp
from sluice.reconcile.publication_log import Mark, Marks, StoredMarks, read_marks, write_marks
from sluice.reconcile.reconcile_cache import CachedHead, NoarchPatch, ReconcileCache
from sluice.storage.object_id import ObjectId
from testkit.memory_store import LostAnswer, MemoryStore
from tests.support.staging_records import SUBDIR

MEMORY = ReconcileCache(
    files={
        "repodata.json": CachedHead(identity=ObjectId('"e"', 1, 2), stamp=Stamp(1, "t", "owner")),
        "repodata.json.bz2": CachedHead(identity=ObjectId('"f"', 1, 2), stamp=None),
    },
    noarch=NoarchPatch(tree="n", patch=None),
)


def mark(generation: int, published_at: int = 0, *, tree: str | None = None) -> Mark:
    """A mark of a generation."""
    tree = tree or f"{generation:064x}"
    return Mark(
        generation=generation,
        tree=tree,
        commit=tree,
        published_at=published_at or generation * 1000,
    )


def test_what_was_seen_is_read_back() -> None:
    state = MemoryStore()
    assert read_marks(state, SUBDIR) == StoredMarks(Marks(), None)
    marks = Marks().with_mark(mark(1)).with_mark(mark(2)).with_cache(MEMORY)
    etag = write_marks(state, SUBDIR, marks, expected=None)
    assert etag
    assert read_marks(state, SUBDIR) == StoredMarks(marks, etag)
    assert state.keys() == [SUBDIR.marks_key] == ["marks/Conda%2FDefault/linux-64.json"]


def test_marks_of_before_there_was_a_memory_are_read() -> None:
    state = MemoryStore()
    body = (
        b'{"marks":[{"generation":1,"tree":"t","commit":"c","published_at":1000}],'
        b'"settled":"t","format":1}'
    )
    state.upload(SUBDIR.marks_key, body)
    read = read_marks(state, SUBDIR).marks
    assert read == Marks(
        marks=[Mark(generation=1, tree="t", commit="c", published_at=1000)], settled="t"
    )
    assert read.memory == ReconcileCache()


def test_a_memory_outlives_all_that_is_said_of_generations() -> None:
    marks = Marks(marks=[mark(1), mark(2)], settled="before").with_cache(MEMORY)
    assert marks.with_mark(mark(3)).memory == MEMORY
    assert marks.with_mark(mark(1)).memory == MEMORY
    assert marks.from_boundary(mark(2)).with_sweep_key(None).memory == MEMORY


def test_of_two_who_write_at_once_the_second_is_told() -> None:
    state = MemoryStore()
    etag = write_marks(state, SUBDIR, Marks(marks=[mark(1)]), expected=None)
    assert write_marks(state, SUBDIR, Marks(marks=[mark(2)]), expected=None) is None
    assert write_marks(state, SUBDIR, Marks(marks=[mark(2)]), expected=etag)
    assert write_marks(state, SUBDIR, Marks(marks=[mark(3)]), expected=etag) is None
    assert read_marks(state, SUBDIR).marks.marks == [mark(2)]


def test_a_write_whose_answer_was_lost_counts_as_none() -> None:
    state = MemoryStore()

    def lose(_operation: str, _key: str) -> None:
        raise LostAnswer

    state.after = lose
    assert write_marks(state, SUBDIR, Marks(), expected=None) is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"not json", Corrupt),
        (b'{"marks": []}', Corrupt),
        (b'{"format": 1, "marks": [{"generation": 1}]}', Corrupt),
        (b'{"format": 2}', TooNew),
    ],
)
def test_marks_that_cannot_be_read_are_not_taken_for_none(
    body: bytes, error: type[Exception]
) -> None:
    state = MemoryStore()
    state.upload(SUBDIR.marks_key, body)
    with pytest.raises(error, match=SUBDIR.marks_key):
        read_marks(state, SUBDIR)


def test_of_one_generation_the_first_sight_counts() -> None:
    marks = Marks(settled="as it is").with_mark(mark(1, 5000))
    assert marks.with_mark(mark(1, 9000)) is marks
    assert marks == Marks(marks=[mark(1, 5000)], settled="as it is")


@pytest.mark.parametrize("back", [mark(2), mark(3, tree="f" * 64)])
def test_a_generation_that_is_not_above_the_last_one_ends_all_that_was_said(back: Mark) -> None:
    marks = Marks(marks=[mark(1), mark(2), mark(3)], settled="as it is")
    assert marks.with_mark(back) == Marks(marks=[back])


def test_the_newest_that_was_published_by_then_is_found_and_equal_is_not_before() -> None:
    marks = Marks(marks=[mark(1), mark(2), mark(3)])
    found = [marks.newest(published_before_ms=at) for at in (1000, 1001, 2999, 3000, 9000)]
    assert found == [None, mark(1), mark(2), mark(2), mark(3)]


def test_when_all_before_a_cut_is_gone_the_marks_before_it_are_forgotten() -> None:
    marks = Marks(marks=[mark(1), mark(2), mark(3)], settled="before")
    assert marks.from_boundary(mark(2)).with_sweep_key("now") == Marks(
        marks=[mark(2), mark(3)], settled="now"
    )


def test_of_too_many_marks_every_second_is_kept_and_the_first_and_the_last() -> None:
    marks = Marks()
    for generation in range(1, 3 * MARKS_MAX):
        marks = marks.with_mark(mark(generation))
        assert len(marks.marks) <= MARKS_MAX
        assert (marks.marks[0], marks.marks[-1]) == (mark(1), mark(generation))
    generations = [one.generation for one in marks.marks]
    assert generations == sorted(set(generations))
    assert max(later - one for one, later in pairwise(generations)) <= 16
