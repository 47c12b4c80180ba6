"""Taking over an index most of whose packages are gone, or only seem to be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from sluice.catalog.brake import WaitingRemovals, filenames_digest
from sluice.catalog.entry import Pin, Record
from sluice.errors import BrokenListing
from sluice.layout import REPODATA
from sluice.merge.apply_staging import overlay_existing
from sluice.merge.outcome import MergeReport
from sluice.reconcile.run import ReconcileRequest
from sluice.storage.object_id import ObjectId
from tests.support.reconcile_runs import ReconcileRuns, subdir_reports
from tests.support.staging_records import START_MS, SUBDIR, identity_of, record_of, removed
from tests.support.subdir_world import World, foreign_repodata
from tests.unit.partial_listing import PartialListingStore

NAMES = [f"package{number:02}-1-0.conda" for number in range(60)]
NEW = "new-1-0.conda"
DATE = 1_600_000_000_000
ONLY = ReconcileRequest(SUBDIR.channel, SUBDIR.name)
DAY_SECONDS = 24 * 60 * 60


def indexed_by_others(*there: str, of: list[str] = NAMES) -> World:
    """An index of packages of which only some are there."""
    world = World()
    records = {name: record_of(name, name.encode()) for name in of}
    records[of[0]]["indexed_timestamp"] = DATE
    for name in there:
        world.upload(name, name.encode())
    body = json.dumps(foreign_repodata(records, subdir=SUBDIR.name)).encode()
    world.channel.upload(SUBDIR.file_key(REPODATA), body)
    return world


def take_over(world: World) -> MergeReport:
    """Have one more package uploaded, and everything merged."""
    world.add(NEW)
    return world.merge()


def hide(world: World, hides: Callable[[str], bool]) -> None:
    """Have listings of the channel bucket leave something out."""

    liar = PartialListingStore(world.channel)
    liar.hides = hides
    world.merger = replace(world.merger, channel=liar)


def test_an_index_says_no_less_when_most_of_its_packages_are_gone() -> None:
    world = indexed_by_others(*NAMES[:10])
    report = take_over(world)
    assert sorted(world.published()) == [NEW, *NAMES]
    assert (report.taken_over, report.left_out) == (60, 0)
    assert report.waiting == WaitingRemovals(
        files=50,
        packages=50,
        of=60,
        digest=filenames_digest(NAMES[10:]),
        since=world.tree().at,
        until=None,
    )


def test_its_records_keep_their_dates_and_stand_for_no_object() -> None:
    world = indexed_by_others(NAMES[1])
    take_over(world)
    at = world.tree().at
    entries = world.entries()
    dated, undated = entries[NAMES[0]], entries[NAMES[2]]
    assert isinstance(dated, Record)
    assert isinstance(undated, Record)
    assert dated.record["indexed_timestamp"] == DATE
    assert undated.record["indexed_timestamp"] == at // 1000 * 1000
    size = len(NAMES[0])
    assert (
        dated.identity == ObjectId.placeholder(at=at, size=size) == ObjectId("", at // 1000, size)
    )


def test_the_next_comparison_brakes_with_the_same_digest_and_lets_go_when_the_days_are_over() -> (
    None
):
    world = indexed_by_others(*NAMES[:10])
    taken = take_over(world).waiting
    world.deliver()
    runs = ReconcileRuns(world)
    (one,) = subdir_reports(runs.run(ONLY))
    assert taken
    assert one.waiting
    assert (one.waiting.digest, one.waiting.packages) == (taken.digest, 50)
    runs.handle_requests()
    assert sorted(world.published()) == [NEW, *NAMES]
    world.tick(3 * DAY_SECONDS)
    runs.run(ONLY)
    runs.handle_requests()
    assert sorted(world.published()) == [NEW, *NAMES[:10]]


def test_it_can_be_confirmed_by_the_digest_that_was_told() -> None:
    world = indexed_by_others(*NAMES[:10])
    taken = take_over(world).waiting
    assert taken
    runs = ReconcileRuns(world)
    assert runs.run(replace(ONLY, confirm=taken.digest)).counts.removals == 50
    runs.handle_requests()
    assert sorted(world.published()) == [NEW, *NAMES[:10]]


def test_a_package_that_is_uploaded_after_all_keeps_the_date_of_its_record() -> None:
    world = indexed_by_others(NAMES[1])
    take_over(world)
    world.add(NAMES[0])
    report = world.merge()
    assert report.difference.replaced == [NAMES[0]]
    assert world.published()[NAMES[0]]["indexed_timestamp"] == DATE


def test_no_upload_is_said_to_have_lagged_that_never_was() -> None:
    world = indexed_by_others(NAMES[1])
    assert take_over(world).lags_ms == [1000]  # of what is new


@pytest.mark.parametrize(
    ("there", "of"),
    [(NAMES[:30], NAMES), (NAMES[:1], NAMES[:49])],
    ids=["half of it", "a small index"],
)
def test_a_smaller_loss_is_left_out_as_ever(there: list[str], of: list[str]) -> None:
    world = indexed_by_others(*there, of=of)
    report = take_over(world)
    assert sorted(world.published()) == [NEW, *there]
    assert report.waiting is None


def test_without_a_brake_everything_that_is_gone_is_left_out() -> None:
    world = indexed_by_others(NAMES[0])
    world.merger = replace(world.merger, brake_days=0)
    report = take_over(world)
    assert sorted(world.published()) == [NEW, NAMES[0]]
    assert report.waiting is None


def test_a_record_that_could_not_be_published_is_not_among_them() -> None:
    world = indexed_by_others(NAMES[0])
    index = json.loads(world.body())
    index["packages.conda"][NAMES[5]]["sha256"] = "none"
    world.channel.upload(SUBDIR.file_key(REPODATA), json.dumps(index).encode())
    report = take_over(world)
    assert report.waiting
    expected = filenames_digest(name for name in NAMES[1:] if name != NAMES[5])
    assert (report.waiting.files, report.waiting.digest) == (58, expected)


@pytest.mark.parametrize("hidden", [NAMES, NAMES[3:4]], ids=["all", "one"])
def test_a_listing_that_leaves_out_what_is_there_commits_nothing(hidden: list[str]) -> None:
    world = indexed_by_others(*NAMES)
    keys = set(map(SUBDIR.file_key, hidden))
    hide(world, keys.__contains__)
    before = dict(world.channel.objects)
    with pytest.raises(BrokenListing, match="omits package"):
        take_over(world)
    assert SUBDIR.head_key not in world.state.objects
    assert world.channel.objects.keys() == {*before, SUBDIR.file_key(NEW)}
    assert len(world.staged()) == 1


def test_a_removal_that_an_event_told_of_is_out_at_once() -> None:
    world = indexed_by_others(NAMES[1])
    world.stage(removed(NAMES[0]))
    take_over(world)
    assert NAMES[0] not in world.published()


def test_a_file_that_is_there_by_the_time_it_is_looked_for_is_taken_over_as_it_is() -> None:
    world = indexed_by_others(*NAMES[:59])
    key = SUBDIR.file_key(NAMES[59])
    hidden = [True]

    def hides(found: str) -> bool:
        return found == key and hidden.pop() if hidden else False

    world.channel.upload(key, NAMES[59].encode())
    hide(world, hides)
    take_over(world)
    entry = world.entries()[NAMES[59]]
    assert entry.identity == ObjectId.from_info(world.channel.objects[key].info)


def test_what_is_known_of_a_file_stands_over_a_record_of_no_object() -> None:
    known = Pin(identity=identity_of(), extractor=0, at=START_MS, reason="withdrawn")
    theirs = Record(
        identity=ObjectId.placeholder(at=START_MS, size=1), extractor=0, record={"name": "a"}
    )
    assert overlay_existing({"a": theirs}, {"a": known}) == {"a": known}
    assert overlay_existing({"a": theirs}, {}) == {"a": theirs}
