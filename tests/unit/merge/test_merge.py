"""Merge: from staging to a commit to published files, one step of a subdir's life at a time."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import pytest
from msgspec import structs

from sluice.catalog.commit import Commit
from sluice.catalog.entry import Pin, Record, Reject
from sluice.catalog.head import Head
from sluice.errors import ForeignOwner
from sluice.extract import staging
from sluice.extract.extract import EXTRACTOR_VERSION
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from sluice.limits import MERGE_TIME_RESERVE_MS
from sluice.merge import generation_writer
from sluice.merge.apply_staging import CommitChanges
from sluice.merge.merge import merge
from sluice.merge.outcome import MergeReport
from sluice.messages.merge_request import MergeRequest
from sluice.storage.object_id import ObjectId
from tests.support.staging_records import (
    A2,
    SUBDIR,
    A,
    B,
    C,
    identity_of,
    indexed,
    record_of,
    rejected,
    removed,
)
from tests.support.subdir_world import World

KEYS = [SUBDIR.file_key(file) for file in (SHARD_INDEX, REPODATA_ZST, REPODATA)]


# --- the first upload -----------------------------------------------------------------------------


def test_one_upload_becomes_one_commit_and_one_index() -> None:
    world = World()
    staged = world.add(A, b"package")
    report = world.merge()
    assert report == MergeReport(
        generation=1,
        staged=1,
        difference=CommitChanges(added=[A]),
        lags_ms=[1000],
        files_written=3,
    )
    expected = {**record_of(A, b"package"), "indexed_timestamp": world.now_ms}
    assert world.published() == {A: expected}
    assert world.entries() == {
        A: Record(
            identity=staged.identity,
            extractor=EXTRACTOR_VERSION,
            record=expected,
            digests_from={"sha256": "read", "md5": "read"},
        )
    }
    assert world.staged() == []


def test_the_head_names_a_commit_that_names_the_tree() -> None:
    world = World()
    world.add(A)
    world.merge()
    head = world.head()
    assert head == Head(
        generation=1, epoch=0, commit=head.commit, tree=head.tree, writer=head.writer
    )
    assert world.commit() == Commit(
        generation=1,
        tree=head.tree or "",
        parent=None,
        at=world.now_ms,
        added=[A],
        replaced=[],
        removed=[],
        rejected=[],
    )
    world.add_corrupt(B)
    world.drop(A)
    world.merge()
    assert world.commit() == Commit(
        generation=2,
        tree=world.head().tree or "",
        parent=head.commit,
        at=world.now_ms,
        added=[],
        replaced=[],
        removed=[A],
        rejected=[B],
    )


def test_the_time_of_a_commit_grows_even_where_the_clock_does_not() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.now_ms -= 60_000
    world.add(B)
    before = world.tree().at
    world.merge()
    assert world.tree().at == before + 1


def test_a_merge_without_anything_staged_changes_nothing_at_all() -> None:
    world = World()
    assert world.merge() == MergeReport()
    assert (world.channel.objects, world.state.objects) == ({}, {})


def test_many_packages_of_many_names_are_one_commit() -> None:
    world = World()
    filenames = sorted(f"p{n % 40}-{n}-0.conda" for n in range(600))
    for filename in filenames:
        world.add(filename)
    report = world.merge()
    assert (report.generation, report.staged) == (1, 600)
    assert sorted(report.difference.added) == filenames
    assert sorted(world.published()) == filenames
    assert len(world.tree().names) == 40


def test_no_more_names_than_the_limit_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    for filename in (A, B, C):
        world.add(filename)
    world.merge()
    monkeypatch.setattr(generation_writer, "NAMES_AT_ONCE", 1)
    world.state.requests.clear()
    for filename in (A, B, C):
        world.add(filename, b"other")
    world.merge()
    leaves = [operation for operation, key in world.state.operations() if key.startswith("leaves/")]
    assert leaves == ["GetObject", "PutObject"] * 3


def test_the_channel_at_the_root_of_the_bucket_is_a_channel_too() -> None:
    world = World(subdir=Subdir("", "noarch"))
    world.add(A)
    world.merge()
    assert world.published().keys() == {A}
    assert "noarch/repodata.json" in world.channel.objects
    assert "heads/%/noarch.json" in world.state.objects


# --- overwriting, removing, rejecting -------------------------------------------------------------


def test_an_overwritten_package_is_replaced_and_dated_anew() -> None:
    world = World()
    world.add(A, b"old")
    world.merge()
    world.add(A, b"new")
    report = world.merge()
    assert report.difference == CommitChanges(replaced=[A])
    assert world.published() == {A: {**record_of(A, b"new"), "indexed_timestamp": world.now_ms}}


def test_the_same_package_uploaded_again_keeps_its_date_but_not_its_identity() -> None:
    world = World()
    world.add(A)
    world.merge()
    dated = world.published()[A]["indexed_timestamp"]
    again = world.add(A)
    world.merge()
    assert world.published()[A]["indexed_timestamp"] == dated
    assert world.entries()[A].identity == again.identity


def test_a_package_that_was_removed_and_comes_back_is_dated_anew() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.drop(A)
    world.merge()
    assert world.published() == {}
    world.add(A)
    world.merge()
    assert world.published()[A]["indexed_timestamp"] == world.now_ms


def test_the_last_package_leaves_an_empty_index_and_no_name_behind() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.drop(A)
    assert world.merge().difference == CommitChanges(removed=[A])
    assert world.published() == {}
    assert world.tree().names == {}
    assert world.tree().public


def test_a_corrupt_package_among_good_ones_is_a_reject_and_nothing_else() -> None:
    world = World()
    world.add(A)
    world.add_corrupt(B)
    report = world.merge()
    assert report.difference == CommitChanges(added=[A], rejected=[B], rejects_changed=True)
    assert world.published().keys() == {A}
    assert [(reject["filename"], reject["rejected_at"]) for reject in world.rejects()] == [
        (B, world.now_ms)
    ]


def test_a_good_package_overwritten_by_a_corrupt_one_leaves_the_index_in_the_same_commit() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.add_corrupt(A)
    report = world.merge()
    assert report.difference == CommitChanges(removed=[A], rejected=[A], rejects_changed=True)
    assert world.published() == {}
    assert [reject["filename"] for reject in world.rejects()] == [A]


def test_a_repaired_or_deleted_package_leaves_the_reject_document() -> None:
    world = World()
    world.add_corrupt(A)
    world.add_corrupt(B)
    world.merge()
    world.add(A, b"repaired")
    world.merge()
    assert [reject["filename"] for reject in world.rejects()] == [B]
    assert world.published().keys() == {A}
    world.drop(B)
    world.merge()
    assert world.rejects() == []


def test_a_file_without_a_parsable_name_is_not_noted() -> None:
    world = World()
    world.add_corrupt("NotAPackage.conda")
    world.add(A)
    world.merge()
    assert list(world.tree().names) == ["alpha"]
    assert world.published().keys() == {A}
    assert SUBDIR.rejects_key not in world.state.objects


def test_what_an_earlier_version_has_noted_of_such_files_is_dropped_by_the_next_commit() -> None:
    world = World()
    world.add(A)
    world.merge()
    reject = Reject(identity=identity_of(b""), extractor=1, code="c", sentence="s", at=1)
    world.commit_entries("", {"Not A Package.conda": reject})
    world.add(B)
    world.merge()
    assert list(world.tree().names) == ["alpha", "beta"]
    assert world.rejects() == []


def test_a_record_of_such_a_file_in_another_tools_index_is_kept() -> None:
    world = World()
    world.add(A)
    world.merge()
    reject = Reject(identity=identity_of(b""), extractor=1, code="c", sentence="s", at=1)
    dated = {**record_of(C, b"x"), "indexed_timestamp": 1}
    known = Record(identity=identity_of(b"x"), extractor=0, record=dated)
    world.commit_entries("", {"Not A Package.conda": reject, "odd.conda": known})
    world.add(B)
    world.merge()
    assert world.entries().keys() == {A, B, "odd.conda"}
    assert json.loads(world.body())["packages.conda"].keys() == {A, B, "odd.conda"}


def test_a_pinned_file_stays_out_until_another_object_is_uploaded() -> None:
    world = World()
    staged = world.add(A)
    world.merge()
    pin = Pin(identity=staged.identity, extractor=1, at=1, reason="withdrawn")
    world.commit_entries("alpha", {A: pin})
    world.stage(staged)
    world.merge()
    assert world.published() == {}
    world.add(A)
    world.merge()
    assert world.published().keys() == {A}


# --- what staging says against what is there ------------------------------------------------------


def test_a_stale_record_is_consumed_and_fences_older_merges_with_the_next_epoch() -> None:
    world = World()
    world.add(A)
    world.merge()
    before = world.head()
    world.stage(indexed(A, b"an older upload"))
    report = world.merge()
    assert report == MergeReport(generation=1, staged=1)
    after = world.head()
    assert after == Head(
        generation=1, epoch=1, commit=before.commit, tree=before.tree, writer=after.writer
    )
    assert after.writer != before.writer
    assert world.staged() == []


def test_the_same_staging_again_changes_nothing_but_the_epoch() -> None:
    world = World()
    staged = world.add(A)
    world.merge()
    files = world.index_files()
    world.stage(staged, staged)
    world.merge()
    assert (world.head().generation, world.head().epoch) == (1, 1)
    assert world.index_files() == files


def test_the_epoch_outlives_the_next_change() -> None:
    world = World()
    staged = world.add(A)
    world.merge()
    world.stage(staged)
    world.merge()
    world.add(B)
    world.merge()
    assert (world.head().generation, world.head().epoch) == (2, 1)


def test_a_removal_whose_package_is_back_is_no_removal() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.stage(removed(A))
    world.merge()
    assert world.published().keys() == {A}


def test_a_package_deleted_before_it_was_merged_never_appears() -> None:
    world = World()
    world.add(A)
    world.add(B)
    world.remove(A)
    world.merge()
    assert world.published().keys() == {B}


def test_a_forged_identity_brings_nothing_in() -> None:
    world = World()
    world.add(B)
    world.upload(A, b"there")
    world.stage(indexed(A, b"there", identity=identity_of(b"there", modified=1)))
    world.merge()
    assert world.published().keys() == {B}


# --- reading again --------------------------------------------------------------------------------


def test_a_package_that_a_newer_extractor_reads_again_has_not_been_waiting_since() -> None:
    world = World()
    staged = world.add(A)
    world.merge()
    world.tick(1_000_000)
    world.stage(msgspec.structs.replace(staged, extractor=EXTRACTOR_VERSION + 1))
    report = world.merge()
    assert (report.difference, report.lags_ms) == (CommitChanges(replaced=[A]), [])
    assert world.entries()[A].extractor == EXTRACTOR_VERSION + 1


def test_what_was_taken_over_is_read_again_without_a_lag_and_keeps_its_date() -> None:
    world = World()
    world.index_as_others_do(A)
    world.add(B)
    world.merge()
    before = world.published()[A]
    identity = ObjectId.from_info(world.channel.objects[SUBDIR.file_key(A)].info)
    world.tick(1_000_000)
    world.stage(indexed(A, A.encode(), identity=identity))
    assert world.merge().lags_ms == []
    assert world.published()[A] == before
    assert world.entries()[A].extractor == 1


# --- batches and time -----------------------------------------------------------------------------


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.merge.merge.MERGE_BATCH_RECORDS_MAX", 2)


@pytest.mark.usefixtures("_small_batches")
def test_batches_follow_each_other_and_are_published_once() -> None:
    world = World(page_size=2)
    for filename in (A, A2, B, C):
        world.add(filename)
    world.add_corrupt("delta-1-0.conda")
    report = world.merge()
    assert report.difference == CommitChanges(
        added=[A, A2, B, C], rejected=["delta-1-0.conda"], rejects_changed=True
    )
    assert (report.generation, report.staged, report.files_written) == (3, 5, 4)
    assert not report.unfinished
    assert world.published().keys() == {A, A2, B, C}
    assert world.staged() == []
    assert (
        len([key for op, key in world.channel.operations() if (op, key) == ("PutObject", KEYS[2])])
        == 1
    )


@pytest.mark.usefixtures("_small_batches")
def test_a_merge_whose_time_runs_short_publishes_what_it_has_and_asks_for_another() -> None:
    world = World()
    for filename in (A, B, C):
        world.add(filename)
    report = world.merge(time_left_ms=lambda: MERGE_TIME_RESERVE_MS - 1)
    assert (report.unfinished, report.staged) == (True, 2)
    assert world.published().keys() == {A, B}
    assert len(world.staged()) == 1
    world.deliver()
    assert world.published().keys() == {A, B, C}
    assert world.staged() == []


@pytest.mark.usefixtures("_small_batches")
def test_a_merge_that_fails_to_publish_comes_back_itself_and_asks_for_no_other() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.queue.messages.clear()
    for filename in (A2, B, C):
        world.add(filename)
    with pytest.raises(ForeignOwner):
        merge(world.owned_by("other"), MergeRequest(SUBDIR, 0), time_left_ms=lambda: 0)
    assert world.queue.messages == []


@pytest.mark.usefixtures("_small_batches")
def test_each_request_for_another_merge_gets_through() -> None:
    world = World()
    for _ in range(2):
        for filename in (A, B, C):
            world.add(filename)
        world.merge(time_left_ms=lambda: 0)
    further = [message for message in world.queue.messages if message.group == SUBDIR.component]
    assert len(further) == 2
    assert world.queue.dropped == []


@pytest.mark.usefixtures("_small_batches")
def test_a_last_batch_needs_no_other_merge_however_late_it_is() -> None:
    world = World()
    world.add(A)
    world.add(B)
    assert not world.merge(time_left_ms=lambda: 0).unfinished


@pytest.mark.usefixtures("_small_batches")
def test_a_batch_is_begun_with_exactly_the_time_that_publishing_needs_left() -> None:
    world = World()
    for filename in (A, B, C):
        world.add(filename)
    report = world.merge(time_left_ms=lambda: MERGE_TIME_RESERVE_MS)
    assert (report.unfinished, report.staged) == (False, 3)


@pytest.mark.usefixtures("_small_batches")
def test_a_merge_that_has_consumed_nothing_yet_goes_on_however_late_it_is() -> None:
    """Another one would only meet the same records first and ask for another in its turn."""
    world = World()
    newer_body = staging.encode_staging_record(removed(A)).replace(b'"format":1', b'"format":3')
    too_new = [SUBDIR.staging_key(A, str(number)) for number in range(2)]
    for key in too_new:
        world.state.upload(key, newer_body)
    world.add(B)
    report = world.merge(time_left_ms=lambda: 0)
    assert (report.unfinished, report.staged, report.too_new) == (False, 1, 2)
    assert world.published().keys() == {B}
    assert world.staged() == too_new


# --- deterministic bytes --------------------------------------------------------------------------


def test_the_same_history_leaves_the_same_bytes() -> None:
    def history() -> World:
        world = World()
        world.add(A)
        world.add_corrupt(B)
        world.merge()
        world.drop(A)
        world.add(C)
        world.merge()
        return world

    one, other = history(), history()
    for store, twin in ((one.channel, other.channel), (one.state, other.state)):
        assert {key: stored.body for key, stored in store.objects.items()} == {
            key: stored.body for key, stored in twin.objects.items()
        }


def test_content_that_recurs_never_recurs_under_its_name() -> None:
    world = World()
    seen: list[set[str]] = []
    for body in (b"A", b"B", b"A"):
        world.add(A, body)
        world.merge()
        tree = world.tree()
        node = tree.names["alpha"]
        seen.append({world.head().tree or "", node.leaf.hex(), (node.shard or b"").hex()})
    assert len(set.union(*seen)) == 9


# --- what an environment remembers ------------------------------------------------------------


def counted(world: World) -> Counter[str]:
    """Count the requests since the last time."""
    stores = (world.channel, world.state)
    found = Counter(operation for store in stores for operation, _ in store.operations())
    for store in stores:
        store.requests.clear()
    return found


def test_a_request_from_before_the_last_merge_began_costs_three_requests() -> None:
    world = World()
    world.add(A)
    world.merge()
    counted(world)
    merge(world.merger, MergeRequest(SUBDIR, not_before=0), time_left_ms=lambda: 900_000)
    # Head and binding; the staging log.
    assert counted(world) == {"GetObject": 2, "ListObjectsV2": 1}
    world.replace_execution_environment()
    merge(world.merger, MergeRequest(SUBDIR, not_before=0), time_left_ms=lambda: 900_000)
    assert counted(world).total() > 3


def test_a_request_from_after_the_last_merge_began_has_every_file_looked_at() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.channel.remove(SUBDIR.file_key(REPODATA))
    report = world.merge()
    assert report.files_written == 1
    assert world.published().keys() == {A}


def test_a_warm_merge_does_not_read_the_tree_that_the_one_before_it_wrote() -> None:
    world = World()
    world.add(A)
    world.merge()
    counted(world)
    world.add(A2)
    world.merge()
    warm = counted(world)
    world.add(B)
    world.replace_execution_environment()
    world.merge()
    assert counted(world)["GetObject"] == warm["GetObject"]  # a tree more, and no leaf of B
    assert world.published().keys() == {A, A2, B}


def test_a_package_that_was_restored_before_its_merge_stays_in_the_index() -> None:
    world = World()
    good = world.add(A)
    world.merge()
    world.channel.archive(SUBDIR.file_key(A), "GLACIER")
    archived = structs.replace(
        rejected(A, identity=good.identity, extractor=EXTRACTOR_VERSION), code="archived"
    )
    world.stage(archived)
    world.channel.restore(SUBDIR.file_key(A))
    world.merge()
    assert world.published().keys() == {A}
    world.channel.archive(SUBDIR.file_key(A), "GLACIER")
    world.stage(archived)
    world.merge()
    assert world.published() == {}
