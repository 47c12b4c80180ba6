from __future__ import annotations

import pytest

from sluice.admin.history.diff import Diff, changes_of_name, diff
from sluice.admin.history.show import show
from sluice.catalog.entry import CarriedRecord, Entry, Pin, Record, Reject
from sluice.errors import NotFound
from tests.support.admin_channel import admin_channel
from tests.support.staging_records import SUBDIR, A, B, C, identity_of, record_of
from tests.support.subdir_world import World

RECORD = Record(identity=identity_of(b"1"), extractor=1, record=record_of(A, b"1"))
OTHER = Record(identity=identity_of(b"2"), extractor=1, record=record_of(A, b"2"))
REREAD = Record(
    identity=identity_of(b"1"), extractor=2, record={**record_of(A, b"1"), "license": "MIT"}
)
SAME = Record(identity=identity_of(b"1"), extractor=2, record=record_of(A, b"1"))
REJECT = Reject(identity=identity_of(b"3"), extractor=1, code="c", sentence="It is bad.", at=1)
AGAIN = Reject(identity=identity_of(b"4"), extractor=1, code="c", sentence="It is bad.", at=2)
PIN = Pin(identity=identity_of(b"5"), extractor=1, at=1, reason="Broken.")
KEPT = CarriedRecord(identity=None, extractor=0, bucket="whl", record={"sha256": "s", "size": 1})


@pytest.mark.parametrize(
    ("before", "after", "kind", "why"),
    [
        (None, RECORD, "added", None),
        (REJECT, RECORD, "added", None),
        (PIN, RECORD, "added", None),
        (None, KEPT, "added", None),
        (RECORD, None, "removed", None),
        (RECORD, REJECT, "removed", "It is bad."),
        (RECORD, PIN, "removed", "Broken."),
        (RECORD, OTHER, "replaced", None),
        (RECORD, REREAD, "rewritten", None),
        (None, REJECT, "rejected", "It is bad."),
        (REJECT, AGAIN, "rejected", "It is bad."),
        (REJECT, PIN, "pinned", "Broken."),
        (PIN, None, "forgotten", None),
    ],
)
def test_each_kind_of_change_is_told_apart(
    before: Entry | None, after: Entry | None, kind: str, why: str | None
) -> None:
    (found,) = changes_of_name(
        {A: before} if before else {},
        {A: after} if after else {},
    )
    assert (found.file, found.kind, found.why) == (A, kind, why)


@pytest.mark.parametrize("entry", [RECORD, REJECT, PIN, KEPT])
def test_what_is_the_same_is_no_change(entry: Entry) -> None:
    assert list(changes_of_name({A: entry}, {A: entry})) == []


def test_a_package_that_was_read_again_with_the_same_outcome_is_no_change() -> None:
    assert list(changes_of_name({A: RECORD}, {A: SAME})) == []


def test_the_fields_that_differ_are_named() -> None:
    (found,) = changes_of_name({A: RECORD}, {A: REREAD})
    assert found.fields == ["license"]


def _world() -> World:
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    world.add(C)
    world.drop(A)
    world.merge()
    return world


def _told(found: Diff) -> list[tuple[str, str]]:
    return [(one.kind, one.file) for one in found.changes]


def test_two_generations_are_compared() -> None:
    found = diff(admin_channel(_world()), SUBDIR, 1, 2)
    assert (found.before, found.after) == (1, 2)
    assert _told(found) == [("removed", A), ("added", C)]
    assert not found.empty


def test_the_other_way_round_it_is_the_opposite() -> None:
    assert _told(diff(admin_channel(_world()), SUBDIR, 2, 1)) == [("added", A), ("removed", C)]


def test_a_generation_does_not_differ_from_itself() -> None:
    assert diff(admin_channel(_world()), SUBDIR, 2, 2).empty


def test_only_leaves_of_names_that_changed_are_read() -> None:
    world = _world()
    before = len(world.state.operations())
    diff(admin_channel(world), SUBDIR, 1, 2)
    read = [key for _, key in world.state.operations()[before:] if key.startswith("leaves/")]
    assert len(read) == 2, "that of the package that went and that of the one that came"


def test_another_configuration_is_a_difference() -> None:
    world = _world()
    world.configure("[sluice]\nrss = true")
    world.merge()
    found = diff(admin_channel(world), SUBDIR, 2, 3)
    assert found.config_changed
    assert not found.empty


def test_a_generation_that_was_collected_cannot_be_compared() -> None:
    world = _world()
    world.state.remove(SUBDIR.tree_key(show(admin_channel(world), SUBDIR, 1).commit.tree))
    with pytest.raises(NotFound, match=r"generation 1 of .* has been garbage-collected"):
        diff(admin_channel(world), SUBDIR, 1, 2)
