"""What is held against the simulated catalog in a flood: the checks notice what they are for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from sluice.layout import Subdir
from sluice.storage.object_store import ObjectHeaders
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.clock import Clock
from tests.simulation.system.habits import RejectLimits
from tests.simulation.system.packages import Place
from tests.simulation.system.rejects import Entries, Unnoted, check_document, check_swap

SUBDIR = Subdir("team", "noarch")
LIMITS = RejectLimits(kept=2, sentences=2, listed=2, listed_of_name=1)
RECORD: Mapping[str, Any] = {"kind": "record"}
BARE: Mapping[str, Any] = {"kind": "reject", "sentence": ""}
TOLD: Mapping[str, Any] = {"kind": "reject", "sentence": "It is no package."}


def files(*names: str, entry: Mapping[str, Any] = BARE) -> Entries:
    return {f"{name}-1-0.conda": entry for name in names}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, files("a", "b")),
        (files("a", "b", "c"), files("a", "b", "c")),
        (files("a", entry=RECORD), files("a", "b", "c")),
        ({**files("a", "b"), **files("c", entry=RECORD)}, files("a", "b", "c")),
    ],
)
def test_what_was_known_is_noted_beyond_the_bound(before: Entries, after: Entries) -> None:
    check_swap(SUBDIR, before, after, LIMITS)


@pytest.mark.parametrize("before", [{}, files("a", "b"), files("a", "b", "d")])
def test_what_was_unknown_is_not_noted_beyond_the_bound(before: Entries) -> None:
    with pytest.raises(AssertionError, match="keeps 3 rejects"):
        check_swap(SUBDIR, before, files("a", "b", "c"), LIMITS)


def test_a_name_has_no_more_sentences_than_it_may() -> None:
    of_one_name = {f"a-{number}-0.conda": TOLD for number in range(3)}
    with pytest.raises(AssertionError, match="sentences"):
        check_swap(SUBDIR, of_one_name, of_one_name, LIMITS)
    of_two = files("a", "b", "c", entry=TOLD)
    check_swap(SUBDIR, of_two, of_two, LIMITS)


def test_only_what_is_beyond_the_bound_need_not_be_noted_once_all_was_compared() -> None:
    unknown = {"x-1-0.conda"}
    for entries, compared, allowed in (
        (files("a"), True, set[str]()),
        (files("a"), False, unknown),
        (files("a", "b"), True, unknown),
    ):
        unnoted = Unnoted(LIMITS.kept, compared, unheard=())
        assert unnoted.rejects(entries, {"a-1-0.conda", *unknown}) == allowed


def test_only_a_good_package_of_which_nobody_heard_may_wait_and_only_while_it_is_unknown() -> None:
    waits, heard, known = ("x-1-0.conda", "y-1-0.conda", "z-1-0.conda")
    unheard = [Place(SUBDIR, waits), Place(SUBDIR, known)]
    full = {**files("a", "b"), known: RECORD}
    good = {waits, heard, known}
    assert Unnoted(2, compared=True, unheard=unheard).packages(SUBDIR, full, good) == {waits}
    assert Unnoted(3, compared=True, unheard=unheard).packages(SUBDIR, full, good) == set()


@pytest.mark.parametrize(
    ("listed", "omitted", "wrong"),
    [
        (["a", "b"], 1, ""),
        (["a"], 2, ""),
        (["a", "b"], 0, "leaves 0 of"),
        (["a", "x"], 1, "has"),
        (["a", "a"], 1, "twice"),
        (["a", "b", "c"], 0, "has 3"),
    ],
)
def test_the_list_for_people_is_one_of_what_the_catalog_has(
    listed: list[str], omitted: int, wrong: str
) -> None:
    state = Bucket(Clock(), Random(1), page_size=10)  # noqa: S311
    rejects = [{"filename": f"{name}-1-0.conda"} for name in listed]
    body = json.dumps({"rejects": rejects, "omitted": {"rejects": omitted}}).encode()
    state.put(SUBDIR.rejects_key, body, ObjectHeaders("application/json"))
    if not wrong:
        check_document(state, SUBDIR, files("a", "b", "c"), LIMITS)
        return
    with pytest.raises(AssertionError, match=wrong):
        check_document(state, SUBDIR, files("a", "b", "c"), LIMITS)
