"""The fence: what may replace a published file, and what may not."""

from __future__ import annotations

import pytest

from sluice.errors import ForeignOwner, Unavailable
from sluice.limits import WRITE_ATTEMPTS_MAX
from sluice.publish.fence import (
    FileState,
    PublishedFile,
    ReplaceResult,
    Stamp,
    file_state,
    replace_file,
)
from sluice.storage.object_store import ObjectHeaders, ObjectInfo
from testkit.memory_store import LostAnswer, MemoryStore

KEY = "c/linux-64/repodata.json"
TREE = "ab" * 32
MINE = Stamp(7, TREE, "me")
PAGE = PublishedFile(KEY, b"page", ObjectHeaders("application/json", "public, max-age=60"))


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
    [(6, FileState.OLDER, True), (7, FileState.SAME, False), (8, FileState.NEWER, False)],
)
def test_what_is_there_stands_by_its_generation(
    generation: int, expected: FileState, *, behind: bool
) -> None:
    found = file_state(there(MemoryStore(), generation), MINE)
    assert (found, found.needs_write) == (expected, behind)


def test_the_same_generation_of_another_tree_is_of_a_lost_history_and_is_to_be_written() -> None:
    stamp = Stamp(MINE.generation, "cd" * 32, MINE.owner)
    found = MemoryStore().upload(KEY, b"before the head was restored", metadata=stamp.metadata)
    assert file_state(found, MINE) is FileState.OLDER


def test_what_is_missing_or_of_another_tool_is_to_be_written() -> None:
    foreign = MemoryStore().upload(KEY, b"rattler-index was here")
    assert (file_state(None, MINE), FileState.MISSING.needs_write) == (FileState.MISSING, True)
    assert (file_state(foreign, MINE), FileState.FOREIGN.needs_write) == (FileState.FOREIGN, True)


@pytest.mark.parametrize("generation", [6, 7, 8])
def test_another_owner_stops_publishing_whatever_its_generation(generation: int) -> None:
    found = there(MemoryStore(), generation, owner="them")
    with pytest.raises(ForeignOwner, match=f"the state them publishes {KEY}, not this state"):
        file_state(found, MINE)
    assert file_state(found, MINE, adopt=True) is FileState.FOREIGN


def test_a_file_is_written_with_its_headers_and_its_stamp() -> None:
    store = MemoryStore()
    assert replace_file(store, PAGE, MINE, info=None) == ReplaceResult(FileState.SAME, 0)
    stored = store.objects[KEY]
    assert stored.body == b"page"
    assert stored.headers == ObjectHeaders("application/json", "public, max-age=60", MINE.metadata)


def test_an_older_file_is_replaced_and_a_newer_or_equal_one_is_left() -> None:
    for generation, expected, wrote in (
        (6, FileState.SAME, True),
        (7, FileState.SAME, False),
        (8, FileState.NEWER, False),
    ):
        store = MemoryStore()
        found = there(store, generation)
        assert replace_file(store, PAGE, MINE, info=found) == ReplaceResult(expected, 0)
        assert (store.body(KEY) == b"page") is wrote


def test_a_file_of_another_tool_is_overwritten_and_counted() -> None:
    store = MemoryStore()
    found = store.upload(KEY, b"foreign")
    assert replace_file(store, PAGE, MINE, info=found) == ReplaceResult(FileState.SAME, 1)
    assert store.body(KEY) == b"page"


def test_a_newer_generation_that_arrives_between_look_and_write_stays() -> None:
    store = MemoryStore()
    found = there(store, 6)
    there(store, 8)
    assert replace_file(store, PAGE, MINE, info=found) == ReplaceResult(FileState.NEWER, 0)
    assert store.body(KEY) != b"page"


def test_a_foreign_file_that_arrives_between_look_and_write_is_looked_at_first() -> None:
    store = MemoryStore()
    found = there(store, 6)
    store.upload(KEY, b"foreign")
    assert replace_file(store, PAGE, MINE, info=found) == ReplaceResult(FileState.SAME, 1)


def test_a_file_of_another_tool_is_left_to_the_newest_generation() -> None:
    store = MemoryStore()
    found = store.upload(KEY, b"foreign, over a generation that nobody knows")
    done = replace_file(store, PAGE, MINE, info=found, is_newest=lambda: False)
    assert done == ReplaceResult(FileState.NEWER, 0)
    assert store.objects[KEY].info == found


def test_a_newer_generation_that_starts_after_that_question_wins() -> None:
    store = MemoryStore()
    found = store.upload(KEY, b"foreign")

    def is_newest() -> bool:
        there(store, 8)
        return True

    assert replace_file(store, PAGE, MINE, info=found, is_newest=is_newest).state is FileState.NEWER
    assert store.body(KEY) != b"page"


def test_where_there_is_no_file_only_the_newest_generation_writes_one() -> None:
    store = MemoryStore()
    done = replace_file(store, PAGE, MINE, info=None, is_newest=lambda: False)
    assert done == ReplaceResult(FileState.NEWER, 0)
    assert store.keys() == []


def test_over_an_older_file_of_ours_nobody_asks_what_is_newest() -> None:
    """That it is still there proves that nothing newer was published."""
    store = MemoryStore()
    done = replace_file(
        store, PAGE, MINE, info=there(store, 6), is_newest=lambda: pytest.fail("asked")
    )
    assert done.state is FileState.SAME


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
    done = replace_file(store, PAGE, MINE, info=found, is_newest=lambda: next(newest))
    assert done == ReplaceResult(FileState.NEWER, 0)
    bodies = {key: stored.body for key, stored in store.objects.items()}
    assert bodies == ({KEY: body} if body else {})


def test_a_file_that_vanishes_between_look_and_write_is_written() -> None:
    store = MemoryStore()
    found = there(store, 6)
    store.remove(KEY)
    assert replace_file(store, PAGE, MINE, info=found) == ReplaceResult(FileState.SAME, 0)
    assert store.body(KEY) == b"page"


def test_another_owner_that_arrives_between_look_and_write_stops_publishing() -> None:
    store = MemoryStore()
    found = there(store, 6)
    theirs = there(store, 1, owner="them")
    with pytest.raises(ForeignOwner):
        replace_file(store, PAGE, MINE, info=found)
    assert store.objects[KEY].info == theirs


def test_ones_own_write_whose_answer_was_lost_is_recognised() -> None:
    store = MemoryStore()
    found = there(store, 6)

    def lose(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise LostAnswer

    store.after = lose
    assert replace_file(store, PAGE, MINE, info=found) == ReplaceResult(FileState.SAME, 0)
    assert [operation for operation, _ in store.operations()] == ["PutObject", "HeadObject"]


def test_a_write_that_never_lands_is_given_up_as_unavailable() -> None:
    store = MemoryStore()
    found = there(store, 6)

    def fail(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise LostAnswer

    store.before = fail
    with pytest.raises(Unavailable, match=f"could not be replaced in {WRITE_ATTEMPTS_MAX} tries"):
        replace_file(store, PAGE, MINE, info=found)


def test_another_owners_file_is_replaced_when_it_is_to_be_adopted() -> None:
    store = MemoryStore()
    found = there(store, 9, owner="them")
    replaced = replace_file(store, PAGE, MINE, info=found, adopt=True)
    assert replaced == ReplaceResult(FileState.SAME, foreign_overwritten=1)
    assert store.body(KEY) == PAGE.body
