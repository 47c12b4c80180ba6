from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import UNSET, UnsetType, structs

from sluice.admin.changes.rollback import Rollback, plan_name_rollback, rollback
from sluice.admin.history.generations import parse_generation_ref
from sluice.catalog.entry import DIGESTS_FALSE, NEVER_OUTDATED, Entry, Pin, Record, Reject
from sluice.errors import NotFound
from sluice.storage.object_id import ObjectId
from tests.support.admin_channel import admin_channel
from tests.support.staging_records import A2, A, B, C, identity_of, indexed
from tests.support.subdir_world import World


def back(world: World, to: int, **options: Any) -> Rollback:
    """Roll back a minute later, and have the merge done that was asked for."""
    world.tick(60)
    done = rollback(admin_channel(world), world.subdir, to, **options)
    world.deliver()
    return done


def two_generations() -> World:
    """A and B in generation 1; in 2 B is overwritten, and C is new."""
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    world.add(B, b"worse")
    world.add(C)
    world.merge()
    return world


def test_what_is_new_leaves_the_index_and_the_rest_stays_as_it_is() -> None:
    world = World()
    world.add(A)
    world.merge()
    before = world.published()
    world.add(B)
    world.add(C)
    world.merge()
    done = back(world, 1)
    assert done.pinned == [B, C]
    assert (done.restored, done.gone, done.changed, done.waiting) == ([], [], [], [])
    assert (done.rolled_back_from, done.rolled_back_to, done.generation) == (2, 1, 3)
    assert world.published() == before
    assert json.loads(world.body())["removed"] == [B, C]
    assert json.loads(world.body())["sluice"]["generation"] == 3
    assert world.staged() == []


def test_history_tells_of_it() -> None:
    world = two_generations()
    back(world, 1, reason="Built with the wrong compiler.")
    amendment = world.commit().amendment
    assert amendment is not UNSET
    assert amendment.rolled_back_to == 1
    assert amendment.reason == "Built with the wrong compiler."
    assert amendment.pinned == [B, C]
    assert world.commit().removed == [B, C]
    kept = world.entries()[C]
    assert isinstance(kept, Pin)
    assert kept.reason == (
        f"Rolled back to generation 1, {datetime.fromtimestamp(1750000003, UTC):%Y-%m-%d %H:%M:%S}"
        " UTC. Built with the wrong compiler."
    )


def test_what_holds_something_else_now_cannot_come_back_and_is_not_shown_either() -> None:
    world = two_generations()
    done = back(world, 1)
    assert done.changed == [B]
    assert done.pinned == [B, C]
    assert list(world.published()) == [A]


def test_what_is_not_in_the_bucket_any_more_is_named_and_left_out() -> None:
    world = two_generations()
    world.drop(A)
    world.merge()
    done = back(world, 1)
    assert done.gone == [A]
    assert world.published() == {}
    assert A not in world.entries()


def test_what_was_deleted_and_uploaded_again_as_it_was_comes_back_with_its_date() -> None:
    world = two_generations()
    first = world.published()[A]["indexed_timestamp"]
    world.drop(A)
    world.merge()
    world.add(A)
    world.merge()
    assert world.published()[A]["indexed_timestamp"] > first
    assert back(world, 2).restored == [A]
    assert world.published()[A]["indexed_timestamp"] == first
    kept = world.entries()[A]
    assert kept.identity == identity_of(A.encode(), modified=kept.identity.modified)  # type: ignore[union-attr]


def test_a_dry_run_tells_the_same_and_changes_nothing() -> None:
    world = two_generations()
    head, asked = world.head(), len(world.queue.messages)
    told = rollback(admin_channel(world), world.subdir, 1, dry_run=True)
    assert (told.pinned, told.changed, told.generation) == ([B, C], [B], None)
    assert world.head() == head
    assert (world.staged(), len(world.queue.messages)) == ([], asked)


def test_a_rollback_to_what_there_is_changes_nothing() -> None:
    world = two_generations()
    head = world.head()
    assert back(world, 2).generation is None
    assert world.head() == head


def test_uploading_one_again_brings_that_one_back_even_with_the_same_bytes() -> None:
    world = two_generations()
    back(world, 1)
    world.add(C)
    world.merge()
    assert sorted(world.published()) == [A, C]
    assert isinstance(world.entries()[B], Pin)


def test_an_event_about_what_is_pinned_out_does_not_bring_it_back() -> None:
    world = two_generations()
    back(world, 1)
    there = world.entries()[C].identity
    world.stage(indexed(C, C.encode(), identity=there, extractor=9))
    world.merge()
    assert list(world.published()) == [A]


def test_a_rollback_is_undone_by_another() -> None:
    world = two_generations()
    before = world.published()
    back(world, 1)
    done = back(world, 2)
    assert sorted(done.restored) == [B, C]
    assert world.published() == before
    assert json.loads(world.body())["removed"] == []


def test_an_upload_that_was_repeated_before_the_rollback_is_pinned_out_as_well() -> None:
    world = two_generations()
    world.add(C)  # staged; no merge has met it yet
    done = back(world, 1)
    assert C in done.pinned
    assert list(world.published()) == [A]


def test_what_is_only_staged_is_named_and_comes_with_the_next_merge() -> None:
    world = two_generations()
    world.add(A2)
    done = back(world, 1)
    assert done.waiting == [A2]
    assert sorted(world.published()) == [A, A2]


def test_a_removal_that_waits_is_not_pinned() -> None:
    world = two_generations()
    world.drop(C)
    done = back(world, 1)
    assert done.pinned == [B]
    assert C not in world.entries()


def test_rejects_stay_rejects() -> None:
    world = two_generations()
    world.add_corrupt(A2)
    world.merge()
    world.add_corrupt(A)
    world.merge()
    done = back(world, 2)
    assert done.changed == [A]
    assert done.pinned == []
    assert done.generation is None
    assert isinstance(world.entries()[A], Reject)
    assert isinstance(world.entries()[A2], Reject)


def test_a_time_names_the_generation_that_was_the_newest() -> None:
    world = World()
    world.add(A)
    world.merge()
    at = world.commit().at
    world.tick(60)
    world.add(B)
    world.merge()
    moment = datetime.fromtimestamp(at / 1000 + 30, UTC)
    done = rollback(admin_channel(world), world.subdir, moment, dry_run=True)
    assert (done.rolled_back_to, done.pinned) == (1, [B])


def test_a_generation_that_is_not_kept_is_refused_and_the_oldest_is_named() -> None:
    world = two_generations()
    with pytest.raises(NotFound, match="no generation 7: the newest is 2"):
        rollback(admin_channel(world), world.subdir, 7)
    with pytest.raises(NotFound, match="no generation 0: the oldest available is 1"):
        rollback(admin_channel(world), world.subdir, 0)
    with pytest.raises(NotFound, match="from 2020-01-01 00:00:00 UTC or before: the oldest"):
        rollback(admin_channel(world), world.subdir, datetime(2020, 1, 1, tzinfo=UTC))


def test_a_tree_that_was_collected_is_refused() -> None:
    world = two_generations()
    parent = world.commit().parent
    assert parent
    tree = json.loads(world.state.body(world.subdir.commit_key(parent)))["tree"]
    world.state.remove(world.subdir.tree_key(tree))
    with pytest.raises(NotFound, match="generation 1 of Conda/Default/linux-64/ is no longer kept"):
        rollback(admin_channel(world), world.subdir, 1)


def test_a_subdir_without_a_head_is_refused() -> None:
    world = World()
    with pytest.raises(NotFound, match="the catalog has no packages"):
        rollback(admin_channel(world), world.subdir, 1)


def test_the_files_of_the_whole_channel_follow() -> None:
    world = two_generations()
    world.configure("[sluice]\nchanneldata = true\n")
    world.merge()
    world.deliver()
    back(world, 1)
    data = json.loads(world.channel.body("Conda/Default/channeldata.json"))
    assert list(data["packages"]) == ["alpha"]


def test_both_of_one_name_are_told_apart() -> None:
    there = {A: identity_of(b"a"), A2: identity_of(b"b")}
    old = Record(identity=there[A], extractor=1, record={"sha256": "a"}, digests_from={"md5": "s3"})
    new = Record(
        identity=there[A2], extractor=1, record={"sha256": "b"}, digests_from={"md5": "s3"}
    )
    turn = plan_name_rollback({A: old}, {A: old, A2: new}, there, at=5, reason="why")
    pinned = Pin(identity=there[A2], extractor=2**31 - 1, at=5, reason="why", sha256="b")
    assert turn.edits == {A2: pinned}


def test_other_parts_of_the_same_content_are_the_same() -> None:
    in_parts = identity_of(b"in parts")
    old = Record(identity=identity_of(b"x"), extractor=1, record={"sha256": "s", "old": 1})
    new = Record(identity=in_parts, extractor=1, record={"sha256": "s"})
    turn = plan_name_rollback({A: old}, {A: new}, {A: in_parts}, at=5, reason="why")
    assert turn.restored == [A]
    assert turn.edits == {A: Record(identity=in_parts, extractor=1, record=old.record)}


def _stated(sha256: str, identity: ObjectId, by: str = "uploader") -> Record:
    """The record of a package of which somebody has stated the digest."""
    return Record(
        identity=identity,
        extractor=1,
        record={"sha256": sha256},
        digests_from={"sha256": by, "md5": "etag"},
    )


FIRST = identity_of(b"content")
AGAIN = structs.replace(FIRST, modified=FIRST.modified + 1)
BEFORE = structs.replace(FIRST, modified=FIRST.modified - 1)


def _pin(identity: ObjectId, sha256: str | UnsetType) -> Pin:
    return Pin(identity=identity, extractor=NEVER_OUTDATED, at=1, reason="", sha256=sha256)


@pytest.mark.parametrize(
    "now", [_stated("b", AGAIN), _stated("b", AGAIN, "read"), _pin(AGAIN, "b")]
)
def test_no_digest_comes_back_where_another_is_known_of_the_same_content(now: Record | Pin) -> None:
    turn = plan_name_rollback({A: _stated("a", FIRST)}, {A: now}, {A: AGAIN}, at=5, reason="why")
    assert (turn.edits, turn.restored, turn.pinned) == ({}, [], [])
    read = _stated("a", FIRST, "read")
    turn = plan_name_rollback({A: read}, {A: now}, {A: AGAIN}, at=5, reason="why")
    assert turn.edits == {A: _stated("a", AGAIN, "read")}, "nobody need check that one"


@pytest.mark.parametrize("now", [_stated("a", AGAIN, "read"), _pin(AGAIN, "a")])
def test_a_digest_comes_back_as_that_of_the_object_that_is_known_to_have_it(
    now: Record | Pin,
) -> None:
    turn = plan_name_rollback({A: _stated("a", FIRST)}, {A: now}, {A: AGAIN}, at=5, reason="why")
    assert turn.edits == {A: _stated("a", AGAIN)}


@pytest.mark.parametrize("now", [None, _stated("b", BEFORE), _pin(BEFORE, "b"), _pin(AGAIN, UNSET)])
def test_a_digest_comes_back_as_that_of_the_earlier_object_while_nobody_knows_the_current_one(
    now: Record | Pin | None,
) -> None:
    entries: dict[str, Entry] = {A: now} if now else {}
    turn = plan_name_rollback({A: _stated("a", FIRST)}, entries, {A: AGAIN}, at=5, reason="why")
    assert turn.edits == {A: _stated("a", FIRST)}
    assert turn.restored == [A]


@pytest.mark.parametrize(
    ("md5_then", "md5_now", "is_same"),
    [("1", "1", True), (None, "1", True), ("1", None, True), ("2", "1", False)],
)
def test_other_content_of_which_the_same_sha256_was_stated_does_not_come_back(
    md5_then: str | None, md5_now: str | None, *, is_same: bool
) -> None:
    """The SHA-256 of a package that the uploader of another one stated is not its own."""
    then, now = (
        Record(identity=identity, extractor=1, record={"sha256": "s", "md5": md5, "at": at})
        for at, identity, md5 in ((1, FIRST, md5_then), (2, identity_of(b"another"), md5_now))
    )
    turn = plan_name_rollback({A: then}, {A: now}, {A: now.identity}, at=5, reason="why")
    assert turn.restored == [A] * is_same
    assert turn.pinned == [A] * (not is_same)


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_record_with_false_digests_does_not_come_back(seconds: int) -> None:
    false = identity_of(b"false")
    copied = structs.replace(false, modified=false.modified + seconds)
    old = Record(identity=false, extractor=1, record={"sha256": "s"})
    reject = Reject(
        identity=false, extractor=NEVER_OUTDATED, code=DIGESTS_FALSE, sentence="No.", at=1
    )
    turn = plan_name_rollback({A: old}, {A: reject}, {A: copied}, at=5, reason="why")
    assert (turn.edits, turn.restored) == ({}, [])
    corrupt = structs.replace(reject, extractor=1, code="zip-invalid")
    turn = plan_name_rollback({A: old}, {A: corrupt}, {A: false}, at=5, reason="why")
    assert turn.restored == [A]
    other = identity_of(b"another")
    turn = plan_name_rollback({A: old}, {A: reject}, {A: other}, at=5, reason="why")
    assert (turn.edits, turn.changed) == ({}, [A])


NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("17", 17),
        ("2h", datetime(2026, 11, 27, 10, 0, tzinfo=UTC)),
        ("90 minutes ago", datetime(2026, 11, 27, 10, 30, tzinfo=UTC)),
        ("1w", datetime(2026, 11, 20, 12, 0, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:30+02:00", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
    ],
)
def test_moments_are_generations_ages_or_dates(text: str, moment: object) -> None:
    assert parse_generation_ref(text, now=NOW) == moment
