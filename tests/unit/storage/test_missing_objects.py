"""Looking for what a listing leaves out, before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from sluice.concurrency import in_order
from sluice.errors import BrokenListing, Unavailable
from sluice.limits import LISTING_ATTEMPTS_MAX, MISSING_CHECKS_MAX
from sluice.storage.missing_objects import confirm_listing, head_packages, sample_evenly
from sluice.storage.object_id import ObjectId
from testkit.memory_store import LostAnswer, MemoryStore
from tests.support.staging_records import SUBDIR, A, B


@dataclass
class Folder:
    """A folder whose listings leave out what they are told to."""

    there: dict[str, ObjectId] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    looked_at: list[list[str]] = field(default_factory=list)
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    """What happens after each look."""

    def upload(self, filename: str, content: str = "1") -> None:
        self.there[filename] = ObjectId(content, 1, 1)

    def list(self) -> set[str]:
        return self.there.keys() - self.hidden

    def look(self, files: Sequence[str]) -> dict[str, ObjectId]:
        self.looked_at.append(list(files))
        found = {file: self.there[file] for file in files if file in self.there}
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return found

    def settle(self, *wanted: str, listing: set[str] | None = None) -> set[str]:
        """Settle a listing; what it leaves out of the wanted files is missing."""
        return confirm_listing(
            self.list() if listing is None else listing,
            lambda listed: [file for file in wanted if file not in listed],
            find_existing=self.look,
            list_again=self.list,
            label="a/linux-64/",
        )


def test_a_listing_is_believed_where_what_it_leaves_out_is_not_there() -> None:
    folder = Folder()
    folder.upload(A)
    assert folder.settle(A, B) == {A}
    assert folder.looked_at == [[B]]


def test_a_file_that_is_there_and_is_never_listed_breaks_the_listing() -> None:
    folder = Folder(hidden={A})
    folder.upload(A)
    with pytest.raises(BrokenListing, match=f"a/linux-64/ omits {A}, which exists"):
        folder.settle(A, B)


def test_a_file_that_was_uploaded_after_the_listing_proves_nothing() -> None:
    folder = Folder()
    folder.upload(A)
    assert folder.settle(A, B, listing=set()) == {A}


def test_what_a_later_listing_leaves_out_is_looked_for_as_well() -> None:
    folder = Folder(hidden={B})
    folder.upload(A)
    folder.upload(B)
    folder.hidden = {A, B}
    folder.meanwhile = [lambda: folder.hidden.discard(A)]
    with pytest.raises(BrokenListing, match=B):
        folder.settle(A, B)


@pytest.mark.parametrize("again", [None, "2"], ids=["deleted", "overwritten"])
def test_a_file_that_is_deleted_or_overwritten_meanwhile_proves_nothing(again: str | None) -> None:
    folder = Folder(hidden={A})
    folder.upload(A)

    def change() -> None:
        del folder.there[A]
        if again:
            folder.hidden = set()
            folder.upload(A, again)

    folder.meanwhile = [change]
    assert folder.settle(A) == ({A} if again else set())


def test_a_folder_that_changes_faster_than_it_is_listed_is_left_for_later() -> None:
    folder = Folder()
    names = [f"{number}" for number in range(LISTING_ATTEMPTS_MAX + 1)]
    folder.upload(names[0])
    # Each listing shows what the look before it has found, and the next look finds another.
    shown: list[set[str]] = []
    no_listing: set[str] = set()

    def list_again() -> set[str]:
        listed = set(folder.there)
        shown.append(listed)
        folder.upload(names[len(shown)])
        return listed

    with pytest.raises(Unavailable, match="changes too fast to be listed"):
        confirm_listing(
            no_listing,
            lambda listed: [one for one in names if one not in listed],
            find_existing=folder.look,
            list_again=list_again,
            label="a/linux-64/",
        )
    assert len(shown) == LISTING_ATTEMPTS_MAX


@pytest.mark.parametrize(
    ("count", "picked"),
    [
        (0, []),
        (3, [0, 1, 2]),
        (20, list(range(20))),
        (39, list(range(0, 39, 2))),
        (1000, [place * 999 // 19 for place in range(20)]),
    ],
)
def test_twenty_are_looked_at_spread_over_all_of_them(count: int, picked: list[int]) -> None:
    names = [f"{number:04}" for number in range(count)]
    assert sample_evenly(names, MISSING_CHECKS_MAX) == [names[place] for place in picked]
    assert len(set(picked)) == min(count, MISSING_CHECKS_MAX)


def test_only_no_such_key_means_that_a_file_is_not_there() -> None:
    store = MemoryStore()
    info = store.upload(SUBDIR.file_key(A), b"1")
    assert head_packages(store, SUBDIR, in_order, [A, B]) == {A: ObjectId.from_info(info)}

    def lose(_operation: str, _key: str) -> None:
        raise LostAnswer

    store.before = lose
    with pytest.raises(Unavailable):
        head_packages(store, SUBDIR, in_order, [A])
