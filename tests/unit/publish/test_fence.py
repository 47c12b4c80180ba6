"""The fence: what may replace a published file, and what may not."""

from __future__ import annotations

import pytest

from sluice.errors import ForeignOwner, Unavailable
from sluice.limits import WRITE_ATTEMPTS_MAX
from sluice.publish.fence import Page, Replaced, Stamp, Standing, replace, standing
from sluice.storage.object_store import Headers, ObjectInfo
from testkit.memory_store import LostAnswer, MemoryStore

KEY = "c/linux-64/repodata.json"
TREE = "ab" * 32
MINE = Stamp(7, TREE, "me")
PAGE = Page(KEY, b"page", Headers("application/json", "public, max-age=60"))


def there(store: MemoryStore, generation: int, *, owner: str = "me") -> ObjectInfo:
    """Have a file of sluice's there."""
    stamp = Stamp(generation, TREE, owner)
    return store.upload(KEY, f"{stamp}".encode(), metadata=stamp.metadata)


def test_a_stamp_is_read_back_from_the_metadata() -> None:
    assert MINE.metadata == {
        "sluice-generation": "7",
        "sluice-tree": TREE,
        "sluice-owner": "me",
    }
    assert Stamp.parse(MINE.metadata) == MINE
    assert MINE.body == {"generation": 7, "tree": TREE}


@pytest.mark.parametrize(
    "metadata",
    [{}, {"sluice-generation": ""}, {"sluice-generation": "-1"}, {"sluice-generation": "x"}],
)
def test_what_carries_no_generation_is_not_ours(metadata: dict[str, str]) -> None:
    assert Stamp.parse({"sluice-owner": "me", **metadata}) is None


def test_a_stamp_that_lacks_the_rest_is_of_nobody() -> None:
    assert Stamp.parse({"sluice-generation": "7"}) == Stamp(7, "", "")


@pytest.mark.parametrize(
    ("generation", "expected", "behind"),
    [(6, Standing.OLDER, True), (7, Standing.SAME, False), (8, Standing.NEWER, False)],
)
def test_what_is_there_stands_by_its_generation(
    generation: int, expected: Standing, *, behind: bool
) -> None:
    found = standing(there(MemoryStore(), generation), MINE)
    assert (found, found.behind) == (expected, behind)


def test_the_same_generation_of_another_tree_is_of_a_lost_history_and_is_to_be_written() -> None:
    stamp = Stamp(MINE.generation, "cd" * 32, MINE.owner)
    found = MemoryStore().upload(KEY, b"before the head was restored", metadata=stamp.metadata)
    assert standing(found, MINE) is Standing.OLDER


def test_what_is_missing_or_of_another_tool_is_to_be_written() -> None:
    foreign = MemoryStore().upload(KEY, b"rattler-index was here")
    assert (standing(None, MINE), Standing.MISSING.behind) == (Standing.MISSING, True)
    assert (standing(foreign, MINE), Standing.FOREIGN.behind) == (Standing.FOREIGN, True)


@pytest.mark.parametrize("generation", [6, 7, 8])
def test_another_owner_stops_publishing_whatever_its_generation(generation: int) -> None:
    found = there(MemoryStore(), generation, owner="them")
    with pytest.raises(ForeignOwner, match=f"{KEY} is published by them, not by this stack"):
        standing(found, MINE)
    assert standing(found, MINE, adopt=True) is Standing.FOREIGN


def test_a_file_is_written_with_its_headers_and_its_stamp() -> None:
    store = MemoryStore()
    assert replace(store, PAGE, MINE, found=None) == Replaced(Standing.SAME, 0)
    stored = store.objects[KEY]
    assert stored.body == b"page"
    assert stored.headers == Headers("application/json", "public, max-age=60", MINE.metadata)


def test_an_older_file_is_replaced_and_a_newer_or_equal_one_is_left() -> None:
    for generation, expected, wrote in (
        (6, Standing.SAME, True),
        (7, Standing.SAME, False),
        (8, Standing.NEWER, False),
    ):
        store = MemoryStore()
        found = there(store, generation)
        assert replace(store, PAGE, MINE, found=found) == Replaced(expected, 0)
        assert (store.body(KEY) == b"page") is wrote


def test_a_file_of_another_tool_is_overwritten_and_counted() -> None:
    store = MemoryStore()
    found = store.upload(KEY, b"foreign")
    assert replace(store, PAGE, MINE, found=found) == Replaced(Standing.SAME, 1)
    assert store.body(KEY) == b"page"


def test_a_newer_generation_that_arrives_between_look_and_write_stays() -> None:
    store = MemoryStore()
    found = there(store, 6)
    there(store, 8)
    assert replace(store, PAGE, MINE, found=found) == Replaced(Standing.NEWER, 0)
    assert store.body(KEY) != b"page"


def test_a_foreign_file_that_arrives_between_look_and_write_is_looked_at_first() -> None:
    store = MemoryStore()
    found = there(store, 6)
    store.upload(KEY, b"foreign")
    assert replace(store, PAGE, MINE, found=found) == Replaced(Standing.SAME, 1)


def test_a_file_of_another_tool_is_left_to_the_newest_generation() -> None:
    store = MemoryStore()
    found = store.upload(KEY, b"foreign, over a generation that nobody knows")
    done = replace(store, PAGE, MINE, found=found, is_newest=lambda: False)
    assert done == Replaced(Standing.NEWER, 0)
    assert store.objects[KEY].info == found


def test_a_newer_generation_that_starts_after_that_question_wins() -> None:
    store = MemoryStore()
    found = store.upload(KEY, b"foreign")

    def is_newest() -> bool:
        there(store, 8)
        return True

    assert replace(store, PAGE, MINE, found=found, is_newest=is_newest).standing is Standing.NEWER
    assert store.body(KEY) != b"page"


def test_where_there_is_no_file_only_the_newest_generation_writes_one() -> None:
    store = MemoryStore()
    done = replace(store, PAGE, MINE, found=None, is_newest=lambda: False)
    assert done == Replaced(Standing.NEWER, 0)
    assert store.keys() == []


def test_over_an_older_file_of_ours_nobody_asks_what_is_newest() -> None:
    """That it is still there proves that nothing newer was published."""
    store = MemoryStore()
    done = replace(store, PAGE, MINE, found=there(store, 6), is_newest=lambda: pytest.fail("asked"))
    assert done.standing is Standing.SAME


@pytest.mark.parametrize("body", [None, b"foreign"], ids=["no-file", "another-tool's"])
def test_who_sleeps_after_that_question_asks_again(body: bytes | None) -> None:
    """While it sleeps, newer ones are published, and what is there comes to be as it was."""
    now = [1_700_000_000]
    store = MemoryStore(lambda: now[0])
    found = store.upload(KEY, body) if body else None
    newest = iter([True, False])

    def sleep(operation: str, _key: str) -> None:
        if operation == "PutObject":
            now[0] += 30 * 60 * 60

    store.before = sleep
    done = replace(store, PAGE, MINE, found=found, is_newest=lambda: next(newest))
    assert done == Replaced(Standing.NEWER, 0)
    bodies = {key: stored.body for key, stored in store.objects.items()}
    assert bodies == ({KEY: body} if body else {})


def test_a_file_that_vanishes_between_look_and_write_is_written() -> None:
    store = MemoryStore()
    found = there(store, 6)
    store.remove(KEY)
    assert replace(store, PAGE, MINE, found=found) == Replaced(Standing.SAME, 0)
    assert store.body(KEY) == b"page"


def test_another_owner_that_arrives_between_look_and_write_stops_publishing() -> None:
    store = MemoryStore()
    found = there(store, 6)
    theirs = there(store, 1, owner="them")
    with pytest.raises(ForeignOwner):
        replace(store, PAGE, MINE, found=found)
    assert store.objects[KEY].info == theirs


def test_ones_own_write_whose_answer_was_lost_is_recognised() -> None:
    store = MemoryStore()
    found = there(store, 6)

    def lose(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise LostAnswer

    store.after = lose
    assert replace(store, PAGE, MINE, found=found) == Replaced(Standing.SAME, 0)
    assert [operation for operation, _ in store.operations()] == ["PutObject", "HeadObject"]


def test_a_write_that_never_lands_is_given_up_as_unavailable() -> None:
    store = MemoryStore()
    found = there(store, 6)

    def fail(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise LostAnswer

    store.before = fail
    with pytest.raises(Unavailable, match=f"could not be replaced in {WRITE_ATTEMPTS_MAX} tries"):
        replace(store, PAGE, MINE, found=found)


def test_another_owners_file_is_replaced_when_it_is_to_be_adopted() -> None:
    store = MemoryStore()
    found = there(store, 9, owner="them")
    replaced = replace(store, PAGE, MINE, found=found, adopt=True)
    assert replaced == Replaced(Standing.SAME, foreign_overwritten=1)
    assert store.body(KEY) == PAGE.body
