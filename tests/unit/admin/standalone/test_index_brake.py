"""Indexing by hand where most of a subdir is gone, or only seems to be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from sluice.admin.session.aws import Aws
from sluice.admin.session.stack import Stack
from sluice.admin.standalone.index import IndexOptions, options_from_stack
from sluice.admin.standalone.report import IndexReport
from sluice.admin.verify.findings import Defect, Finding
from sluice.admin.verify.repair import repair
from sluice.catalog.brake import WaitingRemovals, filenames_digest
from sluice.errors import BrokenListing, Misused
from sluice.layout import REPODATA
from sluice.limits import BRAKE_DAYS
from tests.support.staging_records import record_of
from tests.support.standalone_channel import LINUX, StandaloneChannel, package
from tests.support.subdir_world import foreign_repodata
from tests.unit.partial_listing import PartialListingStore

DAY_SECONDS = 24 * 60 * 60
PACKAGES = [package(f"package{number:04}") for number in range(1000)]
NAMES = [one.filename for one in PACKAGES]
GONE, KEPT = NAMES[:900], NAMES[900:]


@cache
def _published() -> StandaloneChannel:
    world = StandaloneChannel()
    world.upload(*PACKAGES)
    world.index()
    world.index()
    return world


def published() -> StandaloneChannel:
    """A channel of a thousand packages, indexed and at rest."""
    return _published().copy()


def delete(world: StandaloneChannel, filenames: list[str]) -> None:
    for filename in filenames:
        world.public.remove(LINUX.file_key(filename))


def lie(world: StandaloneChannel, hides: Callable[[str], bool]) -> None:
    """Have the channel bucket seen through listings that lie."""
    liar = PartialListingStore(world.public)
    liar.hides = hides
    world.channel = replace(world.channel, public=liar)


def waiting(report: IndexReport) -> WaitingRemovals:
    (one,) = report.waiting
    assert one.subdir == "linux-64"
    assert one.waiting
    return one.waiting


def test_a_listing_that_shows_nothing_removes_nothing() -> None:
    world = published()
    lie(world, lambda key: key.endswith(".conda"))
    (failure,) = world.index().failures
    assert failure.object == "linux-64"
    assert failure.reason.startswith("BrokenListing: a listing of team/linux-64/ does not show")
    assert world.filenames() == NAMES


def test_a_removal_of_most_of_an_index_waits_and_names_its_digest() -> None:
    world = published()
    delete(world, GONE)
    report = world.index()
    found = waiting(report)
    assert (found.packages, found.of, found.digest) == (900, 1000, filenames_digest(GONE))
    assert (found.since, found.until) == (
        world.now_ms,
        world.now_ms + BRAKE_DAYS * DAY_SECONDS * 1000,
    )
    assert report.failures == []
    assert world.filenames() == NAMES


def test_its_digest_carries_it_out() -> None:
    world = published()
    delete(world, GONE)
    report = world.index(IndexOptions(confirm=filenames_digest(GONE)))
    assert (report.waiting, report.confirmed) == ([], 1)
    assert world.filenames() == KEPT


def test_another_digest_carries_nothing_out() -> None:
    world = published()
    delete(world, GONE)
    report = world.index(IndexOptions(confirm=filenames_digest(KEPT)))
    assert (waiting(report).digest, report.confirmed) == (filenames_digest(GONE), 0)
    assert world.filenames() == NAMES


def test_it_is_carried_out_after_three_days() -> None:
    world = published()
    delete(world, GONE)
    world.index()
    world.tick(BRAKE_DAYS * DAY_SECONDS - 60)
    world.index()
    assert world.filenames() == NAMES
    world.tick(60)
    world.index()
    assert world.filenames() == KEPT


def test_what_is_added_and_what_is_a_small_part_does_not_wait() -> None:
    world = published()
    delete(world, NAMES[:500])
    world.upload(package("new"))
    assert world.index().waiting == []
    assert world.filenames() == [package("new").filename, *NAMES[500:]]


def test_without_a_brake_everything_goes() -> None:
    world = published()
    delete(world, GONE)
    assert world.index(IndexOptions(brake_days=0)).waiting == []
    assert world.filenames() == KEPT


@pytest.mark.parametrize("text", ["", "all", "0123456789AB"])
def test_what_is_no_digest_is_refused_before_anything_is_done(text: str) -> None:
    world = published()
    world.public.requests.clear()
    with pytest.raises(
        Misused, match="is not the digest of pending removals: use the digest from a report"
    ):
        world.index(IndexOptions(confirm=text))
    assert world.public.requests == []


@pytest.mark.parametrize(("parameters", "days"), [({}, BRAKE_DAYS), ({"BrakeDays": "0"}, 0)])
def test_a_stack_says_how_long_and_one_of_before_there_was_a_brake_has_it(
    parameters: dict[str, str], days: int
) -> None:
    needed = {"TrustUploaderDigests": "true", "IndexCacheMaxAge": "60", "RetentionDays": "7"}
    stack = Stack(Aws(region="us-east-1"), "sluice", {}, {**needed, **parameters})
    assert options_from_stack(stack).brake_days == days


# --- taking over --------------------------------------------------------------------------------


def of_others(there: int) -> StandaloneChannel:
    """An index of 60 packages of which so many are there."""
    world = StandaloneChannel()
    world.upload(*PACKAGES[:there])
    records = {one.filename: record_of(one.filename, one.body) for one in PACKAGES[:60]}
    body = json.dumps(foreign_repodata(records, subdir="linux-64")).encode()
    world.public.upload(LINUX.file_key(REPODATA), body)
    return world


def test_an_index_that_is_taken_over_says_no_less_and_the_report_says_what_waits() -> None:
    world = of_others(10)
    taken = waiting(world.index())
    assert world.filenames() == NAMES[:60]
    assert (taken.packages, taken.of, taken.until) == (50, 60, None)
    found = waiting(world.index())
    assert (found.digest, found.packages) == (taken.digest, 50)
    world.index(IndexOptions(confirm=taken.digest))
    assert world.filenames() == NAMES[:10]


def test_an_index_is_not_taken_over_by_a_listing_that_lies() -> None:
    world = of_others(60)
    hidden = LINUX.file_key(NAMES[30])
    lie(world, lambda key: key == hidden)
    (failure,) = world.index().failures
    assert failure.reason.startswith("BrokenListing: a listing of team/linux-64/ does not show")
    assert LINUX.head_key not in world.state.objects


# --- repair -------------------------------------------------------------------------------------


def damaged(kind: Defect, name: str | None = None) -> list[Finding]:
    return [Finding(kind=kind, subdir="linux-64", object=LINUX.head_key, reason="", name=name)]


def test_a_head_that_is_repaired_keeps_what_was_removed_lately_and_begins_to_wait_anew() -> None:
    world = published()
    delete(world, NAMES[:400])
    world.index()
    delete(world, NAMES[400:800])
    since = waiting(world.index()).since
    brakes = world.state.objects[LINUX.brakes_key]
    world.tick(BRAKE_DAYS * DAY_SECONDS // 2)
    report = repair(world.channel, damaged(Defect.HEAD_DAMAGED), **world.one_reader())
    assert world.state.objects[LINUX.brakes_key] == brakes
    # Most of the index that is taken over is gone, so it is taken over as it is.
    assert waiting(report).packages == 400
    found = waiting(world.index())
    assert (found.since, found.digest) == (world.now_ms, filenames_digest(NAMES[400:800]))
    assert found.since > since
    assert world.filenames() == NAMES[400:]


def test_a_lost_name_is_not_dropped_because_a_listing_leaves_its_package_out() -> None:
    world = published()
    name = "package0007"
    lie(world, lambda key: name in key)
    before = dict(world.state.objects)
    with pytest.raises(BrokenListing, match=NAMES[7]):
        repair(world.channel, damaged(Defect.LEAF_DAMAGED, name), **world.one_reader())
    assert world.state.objects[LINUX.head_key] == before[LINUX.head_key]
