"""Merge: from staging to a commit to published files, one step of a subdir's life at a time."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgpack
import msgspec
import pytest

from sluice import debounce, generation, staging, zstd
from sluice.catalog.commit import BEFORE_FIRST, Commit, Head, read_head
from sluice.catalog.leaf import NOT_EXTRACTED, Pin, Record, Reject
from sluice.debounce import MergeRequest
from sluice.errors import Corrupt, ForeignOwner, TooNew, Unavailable
from sluice.fold import Difference
from sluice.identity import Identity
from sluice.keys import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from sluice.limits import MERGE_ATTEMPTS_MAX, MERGE_TIME_RESERVE_MS
from sluice.merge import MergeReport, merge
from sluice.publish.fence import Stamp
from tests.support.staged import (
    A2,
    DEBOUNCE_SECONDS,
    NOARCH,
    SUBDIR,
    A,
    B,
    C,
    World,
    foreign_repodata,
    identity_of,
    indexed,
    record_of,
    removed,
    unzstd,
)

KEYS = [SUBDIR.public(file) for file in (SHARD_INDEX, REPODATA_ZST, REPODATA)]


class Death(Exception):
    """The function is killed."""


def ignore(_operation: str, _key: str) -> None:
    """Let a request through."""


def on(operation: str, key: str, happen: Callable[[], None]) -> Callable[[str, str], None]:
    """Make a hook that lets something happen at the first such request."""
    pending = [happen]

    def hook(found_operation: str, found_key: str) -> None:
        if (found_operation, found_key) == (operation, key) and pending:
            pending.pop()()

    return hook


def die() -> None:
    """End the process."""
    raise Death


# --- the first upload -----------------------------------------------------------------------------


def test_one_upload_becomes_one_commit_and_one_index() -> None:
    world = World()
    staged = world.add(A, b"package")
    report = world.merge()
    assert report == MergeReport(
        generation=1,
        staged=1,
        difference=Difference(added=[A]),
        lags_ms=[1000],
        files_written=3,
    )
    expected = {**record_of(A, b"package"), "indexed_timestamp": world.now_ms}
    assert world.published() == {A: expected}
    assert world.entries() == {
        A: Record(
            identity=staged.identity,
            extractor=1,
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
    monkeypatch.setattr(generation, "NAMES_AT_ONCE", 1)
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
    assert report.difference == Difference(replaced=[A])
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
    assert world.merge().difference == Difference(removed=[A])
    assert world.published() == {}
    assert world.tree().names == {}
    assert world.tree().public


def test_a_corrupt_package_among_good_ones_is_a_reject_and_nothing_else() -> None:
    world = World()
    world.add(A)
    world.add_corrupt(B)
    report = world.merge()
    assert report.difference == Difference(added=[A], rejected=[B], rejects_changed=True)
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
    assert report.difference == Difference(removed=[A], rejected=[A], rejects_changed=True)
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


def test_a_file_without_a_parsable_name_is_rejected_under_no_name() -> None:
    world = World()
    world.add_corrupt("Not A Package.conda")
    world.add(A)
    world.merge()
    assert list(world.tree().names) == ["", "alpha"]
    assert isinstance(world.entries()["Not A Package.conda"], Reject)
    assert world.published().keys() == {A}


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


# --- before the first commit ----------------------------------------------------------------------


def test_rejects_and_removals_alone_create_nothing_public() -> None:
    world = World(subdir=Subdir("build-cache", "linux-64"))
    world.add_corrupt("x.conda")
    world.stage(removed(A))
    report = world.merge()
    assert (report.generation, report.difference.rejected) == (1, ["x.conda"])
    assert world.channel.keys() == [world.subdir.public("x.conda")]
    assert world.queue.messages == []
    assert not world.tree().public


def test_a_removal_alone_is_consumed_without_a_commit() -> None:
    world = World()
    world.stage(removed(A))
    assert world.merge() == MergeReport(generation=0, staged=1)
    head = world.head()
    assert head == Head(generation=0, epoch=1, commit=None, tree=None, writer=head.writer)
    assert world.state.keys() == [SUBDIR.head]
    assert world.channel.objects == {}


def test_an_upload_into_an_index_of_somebody_else_adds_to_it() -> None:
    world = World()
    theirs = world.index_as_others_do(*(f"p{n}-1.0-0.conda" for n in range(2000)))
    ours = world.add(A)
    report = world.merge()
    published = world.published()
    assert published.keys() == {A, *theirs}
    assert report.difference == Difference(added=[A])
    assert report.lags_ms == [1000]
    assert report.foreign_overwritten == 2
    assert world.commit().taken_over == 2000
    for filename, record in theirs.items():
        info = world.channel.objects[SUBDIR.public(filename)].info
        assert published[filename] == {**record, "indexed_timestamp": info.modified * 1000}
    entries = world.entries()
    assert {entry.extractor for name, entry in entries.items() if name != A} == {NOT_EXTRACTED}
    assert entries[A].identity == ours.identity


def test_dates_that_the_taken_over_index_has_are_kept_also_for_what_is_read_again() -> None:
    world = World()
    body = A.encode()
    world.upload(A, body)
    dated = {**record_of(A, body), "indexed_timestamp": 7}
    index = {"packages": {}, "packages.conda": {A: dated}}
    world.channel.upload(SUBDIR.public(REPODATA), json.dumps(index).encode())
    world.add(A, body)
    world.merge()
    assert world.published() == {A: dated}
    assert world.entries()[A].extractor == 1


def test_rejects_that_came_first_do_not_keep_the_index_from_being_taken_over() -> None:
    world = World()
    theirs = world.index_as_others_do(B)
    world.add_corrupt(C)
    world.merge()
    assert world.head().generation == 1
    world.add(A)
    world.merge()
    assert world.published().keys() == {A, *theirs}
    assert [reject["filename"] for reject in world.rejects()] == [C]


def test_a_removal_that_was_consumed_before_the_take_over_is_not_undone_by_it() -> None:
    world = World()
    world.index_as_others_do(A, B)
    world.drop(A)
    world.merge()
    world.add(C)
    world.merge()
    assert world.published().keys() == {B, C}


def test_generations_go_on_above_those_of_an_index_whose_catalog_was_lost() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.add(B)
    world.merge()
    world.state.objects.clear()
    dates = {name: record["indexed_timestamp"] for name, record in world.published().items()}
    world.add(C)
    report = world.merge()
    assert (report.generation, report.foreign_overwritten) == (3, 0)
    published = world.published()
    assert published.keys() == {A, B, C}
    assert {name: published[name]["indexed_timestamp"] for name in dates} == dates


def test_what_the_catalog_knows_of_a_file_comes_before_what_another_index_says() -> None:
    world = World()
    world.add_corrupt(A, A.encode())
    world.merge()
    body = json.dumps(foreign_repodata({A: record_of(A, A.encode())}, subdir=SUBDIR.name))
    world.channel.upload(SUBDIR.public(REPODATA), body.encode())
    world.add(B)
    world.merge()
    assert world.published().keys() == {B}
    assert [reject["filename"] for reject in world.rejects()] == [A]


def test_the_shard_index_that_was_taken_over_is_kept_beside_the_catalog() -> None:
    world = World()
    world.index_as_others_do(B, shards=b"shards of theirs")
    world.add(A)
    world.merge()
    digest = world.commit().taken_over_shards
    assert digest
    assert world.state.body(SUBDIR.taken_over(digest)) == b"shards of theirs"


def test_an_index_that_cannot_be_taken_over_stays_and_so_does_what_is_staged() -> None:
    world = World()
    world.channel.upload(SUBDIR.public(REPODATA), b"not json")
    world.add(A)
    with pytest.raises(Corrupt, match="cannot be read"):
        world.merge()
    assert world.body() == b"not json"
    assert read_head(world.state, SUBDIR) is BEFORE_FIRST
    assert len(world.staged()) == 1


# --- noarch ---------------------------------------------------------------------------------------


def test_the_first_package_of_a_channel_asks_for_noarch_before_its_head_is_swapped() -> None:
    world = World()
    world.add(A)
    world.state.before = on("PutObject", SUBDIR.head, die)
    with pytest.raises(Death):
        world.merge()
    (message,) = world.queue.messages
    window_ms = (DEBOUNCE_SECONDS - 2) * 1000
    not_before = (world.now_ms // window_ms + 1) * window_ms + 1000
    assert debounce.parse(message.body) == MergeRequest(NOARCH, not_before, create=True)


def test_the_request_makes_an_empty_valid_noarch_and_asks_for_nothing_more() -> None:
    world = World()
    world.add(A)
    world.merge()
    (request,) = world.deliver()
    assert request.subdir == NOARCH
    repodata = json.loads(world.channel.body(NOARCH.public(REPODATA)))
    assert repodata == {
        "info": {"subdir": "noarch"},
        "packages": {},
        "packages.conda": {},
        "removed": [],
        "repodata_version": 1,
        "sluice": repodata["sluice"],
    }
    shards = msgpack.unpackb(unzstd(world.channel.body(NOARCH.public(SHARD_INDEX))))
    assert (shards["shards"], shards["version"]) == ({}, 1)
    assert NOARCH.public(REPODATA_ZST) in world.channel.objects


def test_only_the_first_package_of_a_subdir_asks_for_noarch() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.queue.messages.clear()
    world.tick(1000)
    world.add(B)
    world.drop(A)
    world.merge()
    assert world.queue.messages == []


def test_noarch_does_not_ask_for_itself() -> None:
    world = World(subdir=NOARCH)
    world.add(A)
    world.merge()
    assert world.queue.messages == []


def test_a_request_to_create_what_is_there_changes_nothing() -> None:
    world = World(subdir=NOARCH)
    world.add(A)
    world.merge()
    before = (dict(world.channel.objects), dict(world.state.objects))
    world.merge(create=True)
    assert (world.channel.objects, world.state.objects) == before


def test_a_request_to_create_takes_an_index_of_somebody_else_over() -> None:
    world = World(subdir=NOARCH)
    world.index_as_others_do(A)
    world.merge(create=True)
    assert world.published().keys() == {A}


def test_a_request_to_create_that_meets_rejects_only_makes_an_empty_index() -> None:
    world = World(subdir=NOARCH)
    world.add_corrupt(A)
    world.merge(create=True)
    assert world.published() == {}
    assert [reject["filename"] for reject in world.rejects()] == [A]


# --- reading again --------------------------------------------------------------------------------


def test_a_package_that_a_newer_extractor_reads_again_has_not_been_waiting_since() -> None:
    world = World()
    staged = world.add(A)
    world.merge()
    world.tick(1_000_000)
    world.stage(msgspec.structs.replace(staged, extractor=2))
    report = world.merge()
    assert (report.difference, report.lags_ms) == (Difference(replaced=[A]), [])
    assert world.entries()[A].extractor == 2


def test_what_was_taken_over_is_read_again_without_a_lag_and_keeps_its_date() -> None:
    world = World()
    world.index_as_others_do(A)
    world.add(B)
    world.merge()
    before = world.published()[A]
    identity = Identity.of(world.channel.objects[SUBDIR.public(A)].info)
    world.tick(1_000_000)
    world.stage(indexed(A, A.encode(), identity=identity))
    assert world.merge().lags_ms == []
    assert world.published()[A] == before
    assert world.entries()[A].extractor == 1


# --- what cannot be read --------------------------------------------------------------------------


def test_an_unreadable_staging_record_is_set_aside_and_the_others_are_merged() -> None:
    world = World()
    key = SUBDIR.staged(B, "1")
    world.state.upload(key, b"\xff garbage")
    world.add(A)
    report = world.merge()
    assert (report.staged, report.set_aside) == (1, 1)
    assert world.published().keys() == {A}
    assert world.staged() == []
    assert world.state.body(SUBDIR.set_aside(key)) == b"\xff garbage"


def test_a_staging_record_of_a_newer_sluice_stays_untouched_and_stops_nothing() -> None:
    world = World()
    world.upload(B)
    key = SUBDIR.staged(B, "1")
    body = staging.encode(removed(B)).replace(b'"format":1', b'"format":2')
    world.state.upload(key, body)
    world.add(A)
    report = world.merge()
    assert (report.staged, report.too_new) == (1, 1)
    assert world.published().keys() == {A}
    assert (world.staged(), world.state.body(key)) == ([key], body)


@pytest.mark.parametrize("kind", ["head", "tree", "leaf"])
def test_a_catalog_of_a_newer_sluice_is_refused_without_touching_anything(kind: str) -> None:
    world = World()
    world.add(A)
    world.merge()
    make_newer(world, kind)
    world.add(A2)
    before = (dict(world.channel.objects), dict(world.state.objects))
    with pytest.raises(TooNew, match="format 2"):
        world.merge()
    assert (world.channel.objects, world.state.objects) == before


def make_newer(world: World, kind: str) -> None:
    """Raise the format of one stored object."""
    digest = world.head().tree
    assert digest
    match kind:
        case "head":
            key = SUBDIR.head
            body = world.state.body(key).replace(b'"format":1', b'"format":2')
        case "tree":
            key = SUBDIR.tree(digest)
            body = newer(world.state.body(key))
        case _:
            key = SUBDIR.leaf(world.tree().names["alpha"].leaf.hex())
            body = newer(world.state.body(key))
    world.state.upload(key, body)


def newer(body: bytes) -> bytes:
    """The same content in the next format."""
    content = msgpack.unpackb(unzstd(body))
    packed: bytes = zstd.compress(msgpack.packb({**content, "format": 2}))
    return packed


def test_one_object_that_head_refuses_stops_no_other() -> None:
    """S3 answers 400 or 403 where an uploader has encrypted it with a key of his own."""

    def refuse(operation: str, key: str) -> None:
        if (operation, key) == ("HeadObject", SUBDIR.public(B)):
            raise Unavailable(f"{operation} {key}: 403")

    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    world.add(C)
    world.upload(B, b"encrypted")
    world.stage(indexed(B))
    world.channel.before = refuse
    world.merge()
    assert world.published().keys() == {A, B, C}
    world.channel.remove(SUBDIR.public(B))
    world.stage(removed(B))
    world.merge()
    assert world.published().keys() == {A, C}


@pytest.mark.parametrize("filename", ["alpha-1.0RC1-0.conda", "Alpha-1.0-0.tar.bz2"])
def test_what_another_tool_indexed_under_a_sloppier_name_stays_for_clients_of_shards_too(
    filename: str,
) -> None:
    world = World()
    world.upload(filename)
    index = foreign_repodata({filename: {**record_of(A, b""), "name": "alpha"}}, subdir=SUBDIR.name)
    world.channel.upload(SUBDIR.public(REPODATA), json.dumps(index).encode())
    world.add(B)
    world.merge()
    assert world.published().keys() == {filename, B}  # which insists that shards and index agree


def test_a_leaf_of_the_last_index_that_was_collected_is_not_needed() -> None:
    world = World()
    world.add(A)
    world.merge()
    collected = world.state.keys("leaves/")
    published = {key: world.channel.objects[key] for key in KEYS}
    world.add(A, b"other")
    world.merge()
    world.channel.objects.update(published)  # as if this merge had died before it published
    for key in collected:
        world.state.remove(key)
    world.merge()
    assert world.published()[A]["sha256"] == record_of(A, b"other")["sha256"]


def test_a_head_that_cannot_be_read_is_not_taken_for_none() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.state.upload(SUBDIR.head, b"")
    world.add(B)
    with pytest.raises(Corrupt):
        world.merge()
    assert world.published().keys() == {A}
    assert len(world.staged()) == 1


# --- crashes, races and other owners --------------------------------------------------------------


def test_what_died_between_commit_and_publish_is_finished_by_the_next_merge() -> None:
    world = World()
    world.add(A)
    world.channel.before = on("HeadObject", SUBDIR.public(SHARD_INDEX), die)
    with pytest.raises(Death):
        world.merge()
    assert world.head().generation == 1
    assert world.index_files().keys().isdisjoint({SHARD_INDEX, REPODATA_ZST, REPODATA})
    assert len(world.staged()) == 1
    report = world.merge()
    assert (report.generation, report.files_written) == (1, 3)
    assert world.published().keys() == {A}
    assert world.staged() == []


def test_staging_is_deleted_only_after_everything_is_published() -> None:
    world = World()
    world.add(A)
    merged = world.staged()
    order: list[str] = []

    def note(operation: str, key: str) -> None:
        if operation in ("PutObject", "DeleteObjects"):
            order.append(key)

    world.channel.after = world.state.after = note
    world.merge()
    assert order[-4:] == [*KEYS, *merged]
    assert world.staged() == []


def test_exactly_the_records_that_were_read_are_deleted() -> None:
    world = World()
    world.add(A)

    def stage_more() -> None:
        world.add(B)

    world.channel.before = on("PutObject", SUBDIR.public(REPODATA), stage_more)
    world.merge()
    assert world.published().keys() == {A}
    assert [key.split("/")[3] for key in world.staged()] == [B]
    world.merge()
    assert world.published().keys() == {A, B}


def test_a_merge_that_loses_the_head_starts_over_from_what_is_there_now() -> None:
    world = World()
    world.add(A)
    world.add(B)

    def another_merge() -> None:
        world.remove(B)
        world.merge()

    world.state.before = on("PutObject", SUBDIR.head, another_merge)
    report = world.merge()
    assert world.published().keys() == {A}
    assert report.difference == Difference()
    assert (report.generation, report.staged) == (1, 0)


def test_a_merge_that_always_loses_gives_the_message_back() -> None:
    world = World()
    world.add(A)
    lost = 0

    def overtake(operation: str, key: str) -> None:
        nonlocal lost
        if (operation, key) == ("PutObject", SUBDIR.head):
            lost += 1
            body = json.dumps(
                {
                    "generation": 0,
                    "epoch": lost,
                    "commit": None,
                    "tree": None,
                    "writer": "x",
                    "format": 1,
                }
            )
            world.state.upload(SUBDIR.head, body.encode())

    world.state.before = overtake
    with pytest.raises(Unavailable, match=f"{MERGE_ATTEMPTS_MAX} times"):
        world.merge()
    assert lost == MERGE_ATTEMPTS_MAX
    assert len(world.staged()) == 1
    assert world.index_files().keys().isdisjoint({SHARD_INDEX, REPODATA_ZST, REPODATA})


def test_an_index_of_another_tool_is_overwritten_by_one_that_knows_more_and_counted() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.channel.upload(SUBDIR.public(REPODATA), b"{}")
    world.add(B)
    report = world.merge()
    assert (report.files_written, report.foreign_overwritten) == (3, 1)
    assert world.published().keys() == {A, B}


def test_two_stacks_do_not_fight_over_one_channel() -> None:
    world = World()
    world.add(A)
    world.merge()
    files = world.index_files()
    world.state.objects.clear()
    world.add(B)
    merger = world.owned_by("another stack")
    with pytest.raises(ForeignOwner):
        merge(merger, MergeRequest(SUBDIR, 0), time_left_ms=lambda: 900_000)
    assert {name: body for name, body in world.index_files().items() if name in files} == files
    assert len(world.staged()) == 1


def test_a_newer_index_is_not_replaced_by_an_older_one() -> None:
    world = World()
    world.add(A)
    world.merge()
    head = world.head()
    newer_stamp = Stamp(9, head.tree or "", world.merger.publisher.owner)
    for key in KEYS:
        world.channel.upload(key, world.channel.body(key), metadata=newer_stamp.metadata)
    world.add(B)
    assert world.merge().files_written == 0
    assert {world.channel.objects[key].info.metadata["sluice-generation"] for key in KEYS} == {"9"}


# --- batches and time -----------------------------------------------------------------------------


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MERGE_BATCH_RECORDS_MAX", 2)


@pytest.mark.usefixtures("_small_batches")
def test_batches_follow_each_other_and_are_published_once() -> None:
    world = World(page_size=2)
    for filename in (A, A2, B, C):
        world.add(filename)
    world.add_corrupt("delta-1-0.conda")
    report = world.merge()
    assert report.difference == Difference(
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
    newer_body = staging.encode(removed(A)).replace(b'"format":1', b'"format":2')
    too_new = [SUBDIR.staged(A, str(number)) for number in range(2)]
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
