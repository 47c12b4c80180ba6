"""What reconcile finds in one subdir, what it asks for, and that this repairs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from msgspec import structs

from sluice import zstd
from sluice.catalog.entry import ARCHIVED_CODE, Pin, Record, Reject
from sluice.errors import Unavailable
from sluice.extract import extract
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, PackageKey, Subdir
from sluice.limits import PUBLISHING_SECONDS_MAX
from sluice.messages import merge_request
from sluice.reconcile import subdir
from sluice.reconcile.publication_log import Marks
from sluice.reconcile.report import Counts, SubdirReport
from sluice.reconcile.run import ReconcileRequest
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectInfo
from testkit.memory_store import ignore
from tests.support.garbage import DAY, RETENTION_DAYS, immutable, marks, reachable
from tests.support.reconcile_runs import CORRUPT, ReconcileRuns, is_quiet, subdir_reports
from tests.support.request_hooks import at_request
from tests.support.staging_records import A2, NOARCH, SUBDIR, A, B, C, identity_of, rejected
from tests.support.subdir_world import World

HOUR_SECONDS = 3600
ODD = "odd-1!0+ü-0.conda"


@pytest.fixture
def world() -> World:
    """A channel with two packages, indexed and published, its noarch as well."""
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    world.deliver()
    world.tick(HOUR_SECONDS)
    return world


@pytest.fixture
def runs(world: World) -> ReconcileRuns:
    runs = ReconcileRuns(world)
    assert is_quiet(runs.run())
    return runs


def expect_repair(runs: ReconcileRuns, counts: Counts, **examples: list[str]) -> None:
    """Reconcile once, hold the report against what is expected, and see that this settles it."""
    report = runs.run()
    expected = SubdirReport(
        channel=SUBDIR.channel,
        subdir=SUBDIR.name,
        counts=structs.replace(counts, subdirs=1),
        examples=examples,
    )
    assert subdir_reports(report) == [expected]
    runs.handle_requests()
    expect_settled(runs)


def expect_settled(runs: ReconcileRuns) -> None:
    """See that nothing is left to be done, and that the index is what the bucket holds."""
    world = runs.world
    assert is_quiet(runs.run())
    assert runs.requeued_keys() == []
    assert world.queue.messages == []
    assert world.staged() == []
    there = {
        key.removeprefix(SUBDIR.prefix): stored.body
        for key, stored in world.channel.objects.items()
        if key.startswith(SUBDIR.prefix) and key.endswith((".conda", ".tar.bz2"))
    }
    good = {name: body for name, body in there.items() if not body.startswith(CORRUPT)}
    assert {name: record["size"] for name, record in world.published().items()} == {
        name: len(body) for name, body in good.items()
    }


def test_a_package_that_nobody_told_of_is_fed_as_it_is_named_and_indexed(
    runs: ReconcileRuns,
) -> None:
    runs.world.upload(A2, b"new")
    runs.world.upload(C, b"new, too")
    runs.run(ReconcileRequest(dry_run=True))
    assert runs.requeued_keys() == []
    expect_repair(
        runs,
        Counts(objects=4, missing=2, fed=2),
        missing=[A2, C],
    )
    assert set(runs.world.published()) == {A, A2, B, C}


def test_keys_that_notifications_would_encode_arrive_as_they_are(runs: ReconcileRuns) -> None:
    runs.world.upload(ODD, CORRUPT)
    runs.run()
    assert runs.requeued_keys() == [SUBDIR.file_key(ODD)]
    runs.handle_requests()
    assert isinstance(runs.world.entries()[ODD], Reject)
    expect_settled(runs)


@pytest.mark.parametrize("filename", ["odd -1.0-0.conda", "odd%2B-1.0-0.conda"])
def test_what_an_earlier_sluice_judged_under_a_refused_key_leaves_the_catalog(
    runs: ReconcileRuns, filename: str
) -> None:
    world = runs.world
    identity = world.upload(filename, CORRUPT)
    reject = Reject(
        identity=identity,
        extractor=extract.EXTRACTOR_VERSION,
        code="filename-invalid",
        sentence="No package has such a name.",
        at=world.now_ms,
    )
    world.commit_entries("", {filename: reject})
    report = runs.run()
    assert (report.counts.gone, report.counts.removals, report.counts.failed) == (1, 1, 0)
    runs.handle_requests()
    assert filename not in world.entries()
    report = runs.run()
    assert (report.counts.repairs, report.counts.misplaced) == (0, 1)
    assert runs.requeued_keys() == []


def test_a_package_that_was_overwritten_unheard_is_indexed_anew(runs: ReconcileRuns) -> None:
    runs.world.upload(A, b"rebuilt")
    expect_repair(runs, Counts(objects=2, changed=1, fed=1), changed=[A])


def test_a_package_that_was_overwritten_unheard_by_a_bad_one_is_rejected(
    runs: ReconcileRuns,
) -> None:
    runs.world.upload(A, CORRUPT)
    expect_repair(runs, Counts(objects=2, changed=1, fed=1), changed=[A])
    assert set(runs.world.published()) == {B}


def test_a_reject_that_was_replaced_unheard_by_a_good_package_is_indexed(
    runs: ReconcileRuns,
) -> None:
    world = runs.world
    world.add_corrupt(C)
    world.merge()
    world.upload(C, b"good")
    expect_repair(runs, Counts(objects=3, changed=1, fed=1), changed=[C])
    assert set(world.published()) == {A, B, C}


def test_a_package_that_was_deleted_unheard_leaves_the_index(runs: ReconcileRuns) -> None:
    runs.world.remove(A)
    expect_repair(runs, Counts(objects=1, gone=1, removals=1, merges=1), gone=[A])
    assert set(runs.world.published()) == {B}


def test_a_removal_is_merged_even_if_nobody_heard_that_it_was_staged(runs: ReconcileRuns) -> None:
    world = runs.world

    def lose_the_answer(operation: str, key: str) -> None:
        if operation == "PutObject" and key.startswith(SUBDIR.staging_prefix):
            raise Unavailable("no answer")

    world.remove(A)
    world.state.after = lose_the_answer
    assert runs.run().counts.failed == 1
    world.state.after = ignore
    runs.handle_requests()
    assert set(world.published()) == {B}
    expect_settled(runs)


def test_the_last_package_may_go_unheard(runs: ReconcileRuns) -> None:
    runs.world.remove(A)
    runs.world.remove(B)
    expect_repair(runs, Counts(gone=2, removals=2, merges=1), gone=[A, B])
    assert runs.world.published() == {}


def test_removals_are_counted_however_many_names_are_looked_at_at_once(
    runs: ReconcileRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subdir, "NAMES_AT_ONCE", 1)
    runs.world.remove(A)
    runs.world.remove(B)
    expect_repair(runs, Counts(gone=2, removals=2, merges=1), gone=[A, B])


def test_a_reject_that_was_deleted_unheard_is_forgotten(runs: ReconcileRuns) -> None:
    world = runs.world
    world.add_corrupt(C)
    world.merge()
    world.remove(C)
    expect_repair(runs, Counts(objects=2, gone=1, removals=1, merges=1), gone=[C])
    assert world.rejects() == []


def test_an_upload_of_the_same_bytes_over_themselves_is_no_difference(runs: ReconcileRuns) -> None:
    runs.world.upload(A, A.encode())
    expect_settled(runs)


def test_what_an_older_extractor_judged_is_read_again(
    runs: ReconcileRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "EXTRACTOR_VERSION", extract.EXTRACTOR_VERSION + 1)
    monkeypatch.setattr(extract, "RECORDS_SINCE", extract.EXTRACTOR_VERSION)
    expect_repair(runs, Counts(objects=2, outdated=2, fed=2), outdated=[A, B])


def test_of_an_older_extractor_only_rejects_are_read_again_where_its_records_are_still_right(
    runs: ReconcileRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.world.add_corrupt(C)
    runs.world.merge()
    monkeypatch.setattr(extract, "EXTRACTOR_VERSION", extract.EXTRACTOR_VERSION + 1)
    expect_repair(runs, Counts(objects=3, outdated=1, fed=1), outdated=[C])


def test_an_index_that_was_taken_over_is_read_again_and_keeps_its_dates() -> None:
    world = World()
    world.index_as_others_do(A, A2, B)
    world.add(C)
    world.merge()
    world.deliver()
    before = world.published()
    runs = ReconcileRuns(world)
    expect_repair(runs, Counts(objects=4, outdated=3, fed=3), outdated=[A, A2, B])
    assert {name: one["indexed_timestamp"] for name, one in world.published().items()} == {
        name: one["indexed_timestamp"] for name, one in before.items()
    }


def test_rejects_are_read_again_when_asked(runs: ReconcileRuns) -> None:
    world = runs.world
    world.add_corrupt(C)
    world.merge()
    assert is_quiet(runs.run())
    report = runs.run(ReconcileRequest(re_extract=True))
    assert report.counts == Counts(subdirs=2, objects=3, outdated=1, fed=1)
    assert runs.requeued_keys() == [SUBDIR.file_key(C)]


def test_a_package_that_could_not_be_read_is_tried_again_a_day_later_and_no_sooner(
    runs: ReconcileRuns,
) -> None:
    world = runs.world
    identity = world.upload(C, b"good after all")
    unreadable = rejected(C, identity=identity, at=world.now_ms, extractor=0)
    world.stage(structs.replace(unreadable, code="unreadable"))
    world.merge()
    assert is_quiet(runs.run())
    world.tick(19 * HOUR_SECONDS)
    assert is_quiet(runs.run())
    world.tick(2 * HOUR_SECONDS)
    expect_repair(runs, Counts(objects=3, outdated=1, fed=1), outdated=[C])
    assert set(world.published()) == {A, B, C}


def test_a_package_that_still_cannot_be_read_waits_for_another_day(runs: ReconcileRuns) -> None:
    world = runs.world
    identity = world.upload(C)

    def fail_to_read() -> None:
        staged = rejected(C, identity=identity, at=world.now_ms, extractor=0)
        world.stage(structs.replace(staged, code="unreadable"))
        world.merge()

    fail_to_read()
    for _day in range(3):
        world.tick(24 * HOUR_SECONDS)
        assert runs.run().counts.fed == 1
        fail_to_read()
        assert runs.run().counts.fed == 0


def test_a_pin_stays_until_another_object_comes(runs: ReconcileRuns) -> None:
    world = runs.world
    world.upload(C, b"pinned")
    identity = identity_of(b"pinned", modified=world.now_ms // 1000)
    world.commit_entries("gamma_x", {C: Pin(identity=identity, extractor=0, at=1, reason="r")})
    world.merge()
    assert is_quiet(runs.run(ReconcileRequest(re_extract=True)))
    world.upload(C, b"another")
    runs.run()
    runs.handle_requests()
    assert isinstance(world.entries()[C], Record)


def test_what_was_left_in_staging_is_merged(runs: ReconcileRuns) -> None:
    runs.world.add(C)
    runs.world.tick(PUBLISHING_SECONDS_MAX)
    expect_repair(
        runs,
        Counts(objects=3, missing=1, fed=1, behind=1, merges=1),
        behind=["staging"],
        missing=[C],
    )


def test_what_was_staged_within_15_minutes_is_left_to_its_merge(runs: ReconcileRuns) -> None:
    runs.world.add(C)
    runs.world.channel.remove(SUBDIR.file_key(REPODATA))  # that merge publishes it again
    runs.world.tick(PUBLISHING_SECONDS_MAX - 2)  # reconcile starts a second later
    (report,) = subdir_reports(runs.run())
    assert (report.counts.behind, report.counts.merges) == (0, 0)
    runs.world.tick(1)
    (report,) = subdir_reports(runs.run())
    assert report.examples["behind"] == [REPODATA, "staging"]
    assert report.counts.merges == 1


def overwrite(file: str) -> Callable[[World], None]:
    """Let another tool write an index file."""

    def happen(world: World) -> None:
        world.channel.upload(SUBDIR.file_key(file), b"{}")

    return happen


def delete(file: str) -> Callable[[World], None]:
    """Let somebody delete an index file."""
    return lambda world: world.channel.remove(SUBDIR.file_key(file))


@pytest.mark.parametrize("file", [SHARD_INDEX, REPODATA_ZST, REPODATA])
@pytest.mark.parametrize("harm", [overwrite, delete])
def test_a_published_file_that_is_missing_or_another_tools_is_published_again(
    runs: ReconcileRuns, file: str, harm: Callable[[str], Callable[[World], None]]
) -> None:
    harm(file)(runs.world)
    expect_repair(runs, Counts(objects=2, behind=1, merges=1), behind=[file])


def test_a_head_whose_files_were_never_published_is_published(runs: ReconcileRuns) -> None:
    world = runs.world
    kept = {file: world.channel.objects[SUBDIR.file_key(file)] for file in (SHARD_INDEX, REPODATA)}
    world.add(C)
    world.merge()
    for file, stored in kept.items():
        world.channel.objects[SUBDIR.file_key(file)] = stored
    expect_repair(
        runs,
        Counts(objects=3, behind=2, merges=1),
        behind=[SHARD_INDEX, REPODATA],
    )


def test_a_document_of_rejects_that_is_missing_is_written_again(runs: ReconcileRuns) -> None:
    world = runs.world
    world.add_corrupt(C)
    world.merge()
    world.state.remove(SUBDIR.rejects_key)
    expect_repair(runs, Counts(objects=3, behind=1, merges=1), behind=["rejects"])
    assert [reject["filename"] for reject in world.rejects()] == [C]


def test_a_channel_without_noarch_gets_one(runs: ReconcileRuns) -> None:
    world = runs.world
    for key in (*world.state.keys(), *world.channel.keys()):
        for store in (world.state, world.channel):
            if "/noarch" in key and key in store.objects:
                store.remove(key)
    report = runs.run()
    assert report.counts == Counts(subdirs=1, objects=2, behind=1, merges=1)
    runs.handle_requests()
    assert NOARCH.file_key(REPODATA) in world.channel.objects
    assert is_quiet(runs.run())


def test_a_noarch_that_another_tool_left_without_a_plain_index_gets_one() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.queue.messages.clear()
    for store in (world.state, world.channel):
        for key in filter(re.compile("/noarch").search, store.keys()):
            store.remove(key)
    world.channel.upload(NOARCH.file_key(REPODATA_ZST), zstd.compress(b"{}"))
    report = ReconcileRuns(world).run()
    (told_of,) = subdir_reports(report)
    assert told_of.examples == {"behind": [f"{NOARCH.name}/{REPODATA}"]}


def test_what_is_asked_of_merge_is_no_more_than_what_is_needed(runs: ReconcileRuns) -> None:
    world = runs.world
    world.remove(A)
    for key in (*world.state.keys(NOARCH.head_key), *world.channel.keys(NOARCH.prefix)):
        world.state.objects.pop(key, None)
        world.channel.objects.pop(key, None)
    runs.run(ReconcileRequest(SUBDIR.channel, SUBDIR.name))
    asked = [merge_request.parse_merge_request(message.body) for message in world.queue.messages]
    assert [(one.subdir, one.create, one.adopt) for one in asked] == [
        (SUBDIR, False, False),
        (NOARCH, True, False),
    ]


def test_a_noarch_of_rejects_alone_is_made_public_for_its_channels_sake() -> None:
    world = World(subdir=NOARCH)
    runs = ReconcileRuns(world)
    world.add_corrupt("bad-1-0.conda")
    world.merge()
    assert is_quiet(runs.run())  # nothing here is a channel
    world.subdir = SUBDIR
    world.add(A)
    world.merge()
    world.queue.messages.clear()  # the request for noarch is lost
    world.tick(HOUR_SECONDS)
    runs.run()
    runs.handle_requests()
    assert is_quiet(runs.run())
    world.subdir = NOARCH
    assert world.published() == {}


def test_an_empty_bucket_has_nothing_to_reconcile() -> None:
    world = World()
    runs = ReconcileRuns(world)
    report = runs.run()
    assert report.counts == Counts()
    assert report.finished_at == world.now_ms
    assert world.channel.keys() == []


def test_something_that_merely_looks_like_a_subdir_gets_no_index() -> None:
    world = World(subdir=Subdir("", "build-cache"))
    runs = ReconcileRuns(world)
    world.upload(B, CORRUPT)
    for _ in range(2):
        runs.run()
        runs.handle_requests()
    assert world.channel.keys() == [f"build-cache/{B}"]
    assert is_quiet(runs.run())


def test_the_first_run_over_somebody_elses_channel_takes_it_over_whole() -> None:
    world = World()
    world.index_as_others_do(A, A2, B)
    runs = ReconcileRuns(world)
    report = runs.run()
    assert report.counts == Counts(subdirs=1, objects=3, missing=3, fed=3)
    runs.handle_requests()
    expect_settled(runs)
    assert set(world.published()) == {A, A2, B}


# --- garbage --------------------------------------------------------------------------------


def test_a_run_tells_what_it_collected_and_a_dry_run_what_it_would(runs: ReconcileRuns) -> None:
    world = runs.world
    before = {**world.state.objects, **world.channel.objects}
    superseded = immutable(world)
    world.add(A, b"two")
    world.merge()
    assert is_quiet(runs.run())
    world.tick(RETENTION_DAYS * DAY)
    superseded -= live(world)
    assert superseded
    told_before = runs.run(ReconcileRequest(dry_run=True)).counts
    assert superseded <= immutable(world)
    counts = runs.run().counts
    assert (
        counts
        == told_before
        == Counts(
            subdirs=2,
            objects=2,
            collected=len(superseded),
            collected_bytes=sum(before[key].info.size for key in superseded),
        )
    )
    assert immutable(world) == live(world)
    assert is_quiet(runs.run())


def test_the_days_are_counted_from_the_youngest_of_the_published_files(runs: ReconcileRuns) -> None:
    world = runs.world
    world.add(A, b"two")
    world.merge()
    world.tick(3 * DAY)
    world.channel.remove(SUBDIR.file_key(REPODATA))
    world.merge()
    youngest = world.channel.objects[SUBDIR.file_key(REPODATA)].info.modified
    assert is_quiet(runs.run())
    world.now_ms = (youngest + RETENTION_DAYS * DAY) * 1000 - 1000
    assert runs.run().counts.collected == 0
    assert runs.run().counts.collected > 0


@pytest.mark.parametrize("file", [SHARD_INDEX, REPODATA_ZST, REPODATA])
@pytest.mark.parametrize("harm", [overwrite, delete])
def test_while_a_published_file_is_behind_no_generation_counts_as_published(
    runs: ReconcileRuns, file: str, harm: Callable[[str], Callable[[World], None]]
) -> None:
    world = runs.world
    before = marks(world)
    world.add(A, b"two")
    world.merge()
    harm(file)(world)
    runs.run()
    assert marks(world) == before


def rejects_alone() -> World:
    """A subdir that is not public, with a generation that was superseded."""
    world = World(subdir=Subdir("Conda/Default", "osx-64"))
    for body in (b"one", b"two"):
        world.add_corrupt(C, body)
        world.merge()
    return world


def test_where_nothing_is_public_the_days_are_counted_from_the_head() -> None:
    world = rejects_alone()
    runs = ReconcileRuns(world)
    head = world.state.objects[world.subdir.head_key].info.modified
    world.tick(3 * DAY)
    assert is_quiet(runs.run())
    assert [mark.published_at for mark in marks(world).marks] == [head * 1000]
    world.now_ms = (head + RETENTION_DAYS * DAY) * 1000 - 1000
    assert runs.run().counts.collected == 0
    assert runs.run().counts.collected == 3  # commit, tree and leaf
    assert immutable(world) == live(world)


def test_a_head_that_is_swapped_or_lost_meanwhile_is_not_taken_for_the_one_that_was_read() -> None:
    def swap(world: World) -> None:
        world.add_corrupt(C, b"three")
        world.merge()

    for meanwhile in (swap, lambda world: world.state.remove(world.subdir.head_key)):
        world = rejects_alone()
        world.state.before = at_request(
            "HeadObject", world.subdir.head_key, partial(meanwhile, world)
        )
        runs = ReconcileRuns(world)
        report = runs.run(ReconcileRequest(world.subdir.channel, world.subdir.name))
        assert report.counts.failed == 0
        assert marks(world) == Marks()


def live(world: World) -> set[str]:
    """The keys of all that the head's generation consists of."""
    head = world.head()
    assert head.tree
    return reachable(world, tree=head.tree, commit=head.commit)


# --- archived objects -------------------------------------------------------------------------


def archived_reject(runs: ReconcileRuns) -> bool:
    entry = runs.world.entries()[A]
    return isinstance(entry, Reject) and entry.code == ARCHIVED_CODE


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_a_package_that_is_archived_leaves_the_index_and_comes_back_when_it_is_restored(
    runs: ReconcileRuns, storage_class: str
) -> None:
    world, key = runs.world, SUBDIR.file_key(A)
    for _ in range(2):
        world.channel.archive(key, storage_class)
        report = runs.run()
        assert (report.counts.archived, report.counts.fed, report.counts.repairs) == (1, 1, 0)
        runs.handle_requests()
        assert archived_reject(runs)
        assert set(world.published()) == {B}
        assert is_quiet(runs.run()), "what stays archived is not read again"
        assert runs.requeued_keys() == []
        world.channel.restore(key)
        report = runs.run()
        assert (report.counts.restored, report.counts.fed, report.counts.repairs) == (1, 1, 0)
        runs.handle_requests()
        assert set(world.published()) == {A, B}
        expect_settled(runs)


def test_a_package_that_is_restored_and_bad_is_read_once_and_says_why_it_is_rejected(
    runs: ReconcileRuns,
) -> None:
    world, key = runs.world, SUBDIR.file_key(A)
    world.upload(A, CORRUPT)
    world.channel.archive(key)
    runs.run()
    runs.handle_requests()
    assert archived_reject(runs)
    world.channel.restore(key)
    assert runs.run().counts.restored == 1
    runs.handle_requests()
    entry = world.entries()[A]
    assert isinstance(entry, Reject)
    assert "archive" not in entry.sentence
    expect_settled(runs)


def test_a_package_that_is_copied_out_of_the_archive_unheard_comes_back(
    runs: ReconcileRuns,
) -> None:
    world, key = runs.world, SUBDIR.file_key(A)
    world.channel.archive(key)
    runs.run()
    runs.handle_requests()
    world.upload(A, world.channel.body(key))
    assert runs.run().counts.restored == 1
    runs.handle_requests()
    assert set(world.published()) == {A, B}
    expect_settled(runs)


def test_a_dry_run_only_reports_what_is_archived(runs: ReconcileRuns) -> None:
    runs.world.channel.archive(SUBDIR.file_key(A))
    assert runs.run(ReconcileRequest(dry_run=True)).counts.archived == 1
    assert runs.requeued_keys() == []


def test_what_a_listing_calls_archived_and_can_be_read_is_left_in_the_index(
    runs: ReconcileRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = runs.world
    plain = world.channel.list

    def as_archived(*args: Any, **options: Any) -> Iterator[ObjectInfo]:
        return (structs.replace(info, archive="GLACIER") for info in plain(*args, **options))

    monkeypatch.setattr(world.channel, "list", as_archived)
    assert is_quiet(runs.run())
    assert runs.requeued_keys() == []
    assert set(world.published()) == {A, B}


def test_an_archive_tier_that_no_listing_shows_is_tried_again_by_each_run(
    runs: ReconcileRuns,
) -> None:
    world, key = runs.world, SUBDIR.file_key(A)
    world.channel.archive(key, "ARCHIVE_ACCESS")
    assert is_quiet(runs.run()), "nobody can see that"
    runs.extract(PackageKey(SUBDIR, A))
    runs.handle_requests()
    assert archived_reject(runs)
    for _ in range(2):
        assert runs.run().counts.restored == 1
        runs.handle_requests()
        assert archived_reject(runs)
    world.channel.restore(key)
    runs.run()
    runs.handle_requests()
    expect_settled(runs)


def test_a_pinned_or_rejected_package_stays_so_when_it_is_archived(runs: ReconcileRuns) -> None:
    world = runs.world
    identity = ObjectId.from_info(world.channel.objects[SUBDIR.file_key(A)].info)
    pin = Pin(identity=identity, extractor=1, at=1, reason="withdrawn")
    world.commit_entries("alpha", {A: pin})
    world.upload(C, CORRUPT)
    world.deliver()
    runs.run()
    runs.handle_requests()
    for name in (A, C):
        world.channel.archive(SUBDIR.file_key(name))
    assert is_quiet(runs.run())
    assert isinstance(world.entries()[A], Pin)
