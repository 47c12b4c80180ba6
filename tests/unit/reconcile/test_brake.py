"""What reconcile does where most of a subdir is gone, or only seems to be."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from sluice.catalog.brake import BrakeState, WaitingRemovals, decode_brake_state, filenames_digest
from sluice.layout import reconcile_part_key
from sluice.limits import BRAKE_PACKAGES_MIN, MISSING_CHECKS_MAX
from sluice.reconcile import removals, subdir
from sluice.reconcile.publication_log import read_marks
from sluice.reconcile.report import Counts, ReconcileReport
from sluice.reconcile.run import ReconcileRequest, start_run
from testkit.memory_store import LostAnswer
from tests.support.reconcile_runs import ReconcileRuns, TimeLeft, is_quiet, subdir_reports
from tests.support.request_hooks import ProcessKilled, at_request, kill_process
from tests.support.staging_records import SUBDIR
from tests.support.subdir_world import PLENTY_MS, World
from tests.unit.partial_listing import PartialListingStore

DAY_SECONDS = 24 * 60 * 60
PACKAGES = 1000
NAMES = [f"package{number:04}-1-0.conda" for number in range(PACKAGES)]
GONE = NAMES[50:950]
KEPT = [*NAMES[:50], *NAMES[950:]]
ONLY = ReconcileRequest(SUBDIR.channel, SUBDIR.name)


def plenty() -> int:
    return PLENTY_MS


@cache
def _published(packages: int) -> World:
    world = World()
    for filename in NAMES[:packages]:
        world.add(filename)
    world.merge()
    world.deliver()
    assert is_quiet(ReconcileRuns(world).run(ONLY))
    return world


def published(packages: int = PACKAGES) -> ReconcileRuns:
    """A subdir of so many packages that are indexed and published."""
    world = World()
    world.system.resume(_published(packages).system)
    return ReconcileRuns(world)


def lying(runs: ReconcileRuns) -> PartialListingStore:
    """Have reconcile see the channel bucket through listings that lie."""
    liar = PartialListingStore(runs.world.channel)
    runs.reconciler = replace(runs.reconciler, channel=liar)
    return liar


def delete(runs: ReconcileRuns, filenames: list[str]) -> None:
    """Delete packages, of which no event tells."""
    for filename in filenames:
        runs.world.remove(filename)


def indexed(runs: ReconcileRuns) -> list[str]:
    """What clients find, once all that was asked for is done."""
    runs.handle_requests()
    return sorted(runs.world.published())


def run(
    runs: ReconcileRuns, request: ReconcileRequest | None = None, *, time_left_ms: TimeLeft = plenty
) -> ReconcileReport:
    """Reconcile the subdir."""
    asked = replace(request or ReconcileRequest(), channel=SUBDIR.channel, subdir=SUBDIR.name)
    return runs.run(asked, time_left_ms=time_left_ms)


def waiting(report: ReconcileReport) -> WaitingRemovals | None:
    """What a run says that waits in the one subdir that it tells of."""
    (one,) = subdir_reports(report)
    return one.waiting


def pass_days(runs: ReconcileRuns, days: float) -> None:
    runs.world.tick(int(days * DAY_SECONDS))


# --- a listing that is broken -----------------------------------------------------------------


@pytest.mark.parametrize("hidden", [NAMES, NAMES[500:], NAMES[7:8]], ids=["all", "half", "one"])
def test_a_listing_that_leaves_out_what_is_there_stages_nothing(hidden: list[str]) -> None:
    runs = published()
    keys = set(map(SUBDIR.file_key, hidden))
    lying(runs).hides = keys.__contains__
    report = run(runs)
    assert report.counts.failed == 1
    (one,) = subdir_reports(report)
    assert one.failure
    assert one.failure.startswith("BrokenListing: a listing of Conda/Default/linux-64/ omits")
    assert (report.counts.gone, report.counts.removals, report.counts.waiting) == (0, 0, 0)
    assert (runs.world.staged(), runs.world.queue.messages) == ([], [])
    assert SUBDIR.brakes_key not in runs.world.state.objects


def test_what_is_there_is_fed_whatever_else_a_listing_leaves_out() -> None:
    runs = published()
    lying(runs).hides = lambda key: "package09" in key
    runs.world.upload("another-1-0.conda", b"1")
    report = run(runs)
    assert (report.counts.failed, report.counts.fed) == (1, 1)
    assert runs.requeued_keys() == [SUBDIR.file_key("another-1-0.conda")]


def test_a_listing_that_lies_once_is_made_again() -> None:
    runs = published()
    liar = lying(runs)
    lies = iter([True])
    shown = liar.list
    liar.list = lambda *args, **how: (  # type: ignore[method-assign]
        iter(()) if next(lies, False) else shown(*args, **how)
    )
    report = run(runs)
    assert report.counts == Counts(subdirs=1)
    assert runs.world.staged() == []


def test_what_was_uploaded_and_indexed_after_the_listing_breaks_nothing() -> None:
    runs = published(10)
    world = runs.world

    def index_another() -> None:
        world.add("late-1-0.conda")
        world.merge()

    world.state.before = at_request("GetObject", SUBDIR.head_key, index_another)
    report = run(runs)
    assert (report.counts.failed, report.counts.gone, report.counts.removals) == (0, 0, 0)


def test_what_is_uploaded_again_while_it_is_looked_for_is_not_removed() -> None:
    runs = published(10)
    world = runs.world
    delete(runs, NAMES[:2])
    key = SUBDIR.file_key(NAMES[0])

    def upload() -> None:
        world.channel.upload(key, b"2")

    world.channel.before = at_request("HeadObject", key, upload)
    report = run(runs)
    assert (report.counts.failed, report.counts.gone, report.counts.removals) == (0, 1, 1)


def test_a_look_that_is_not_answered_stages_nothing() -> None:
    runs = published(10)
    delete(runs, NAMES[:2])

    def refuse(operation: str, _key: str) -> None:
        if operation == "HeadObject":
            raise LostAnswer

    runs.world.channel.before = refuse
    (one,) = subdir_reports(run(runs))
    assert one.failure
    assert one.failure.startswith("Unavailable: HeadObject")
    assert runs.world.staged() == []


def test_what_is_known_of_a_copy_onto_itself_breaks_a_listing_all_the_same() -> None:
    runs = published(10)
    world = runs.world
    world.tick(60)
    for filename in NAMES[:10]:  # another LastModified, the same content
        world.channel.upload(SUBDIR.file_key(filename), filename.encode())
    lying(runs).hides = lambda _key: True
    assert run(runs).counts.failed == 1


# --- a removal that is too large ----------------------------------------------------------------


def test_a_removal_of_most_of_an_index_waits_and_names_its_digest() -> None:
    runs = published()
    delete(runs, GONE)
    report = run(runs)
    now = runs.world.now_ms
    assert waiting(report) == WaitingRemovals(
        files=900,
        packages=900,
        of=1000,
        digest=filenames_digest(GONE),
        since=now,
        until=now + 3 * DAY_SECONDS * 1000,
    )
    assert report.counts == Counts(subdirs=1, objects=100, gone=900, waiting=900)
    assert (runs.world.staged(), runs.world.queue.messages) == ([], [])
    assert indexed(runs) == NAMES


def test_its_digest_carries_it_out() -> None:
    runs = published()
    delete(runs, GONE)
    run(runs)
    report = run(runs, ReconcileRequest(confirm=filenames_digest(GONE)))
    assert (report.counts.removals, report.counts.waiting, report.counts.confirmed) == (900, 0, 1)
    assert indexed(runs) == KEPT
    assert is_quiet(run(runs))


def test_it_can_be_confirmed_by_the_first_run_that_finds_it() -> None:
    runs = published()
    delete(runs, GONE)
    assert run(runs, ReconcileRequest(confirm=filenames_digest(GONE))).counts.removals == 900


def test_another_digest_carries_nothing_out_and_the_report_has_the_right_one() -> None:
    runs = published()
    delete(runs, GONE)
    report = run(runs, ReconcileRequest(confirm=filenames_digest(GONE[1:])))
    assert (report.counts.removals, report.counts.confirmed) == (0, 0)
    found = waiting(report)
    assert found
    assert found.digest == filenames_digest(GONE)


def test_it_is_carried_out_after_three_days() -> None:
    runs = published()
    delete(runs, GONE)
    run(runs)
    for _ in range(2):
        pass_days(runs, 1)
        assert run(runs).counts.removals == 0
    pass_days(runs, 1)
    assert run(runs).counts.removals == 900
    assert indexed(runs) == KEPT
    assert is_quiet(run(runs))


def test_packages_that_events_tell_of_are_out_at_once() -> None:
    runs = published()
    for filename in GONE:
        runs.world.drop(filename)
    runs.world.merge()
    assert sorted(runs.world.published()) == KEPT
    assert is_quiet(run(runs))


def test_what_is_added_does_not_wait() -> None:
    runs = published()
    delete(runs, GONE)
    runs.world.upload("another-1-0.conda", b"1")
    run(runs)
    assert indexed(runs) == ["another-1-0.conda", *NAMES]


def test_half_of_an_index_is_removed_at_once() -> None:
    runs = published()
    delete(runs, NAMES[:500])
    report = run(runs)
    assert (report.counts.removals, report.counts.waiting) == (500, 0)
    assert indexed(runs) == NAMES[500:]


def test_the_other_half_waits_the_day_after() -> None:
    runs = published()
    delete(runs, NAMES[:490])
    run(runs)
    runs.handle_requests()
    pass_days(runs, 1)
    delete(runs, NAMES[490:980])
    found = waiting(run(runs))
    assert found
    assert (found.packages, found.of) == (490, 1000)


def test_an_index_of_less_than_fifty_packages_can_be_emptied() -> None:
    runs = published(BRAKE_PACKAGES_MIN - 1)
    delete(runs, NAMES[: BRAKE_PACKAGES_MIN - 1])
    run(runs)
    assert indexed(runs) == []


def test_a_removal_waits_in_the_whole_subdir_rejects_and_pins_included() -> None:
    runs = published(60)
    runs.world.add_corrupt("bad-1-0.conda")
    runs.world.merge()
    delete(runs, [*NAMES[:60], "bad-1-0.conda"])
    found = waiting(run(runs))
    assert found
    assert (found.files, found.packages, found.of) == (61, 60, 60)
    assert runs.world.staged() == []


def test_without_a_brake_everything_goes() -> None:
    runs = published()
    runs.reconciler = replace(runs.reconciler, brake_days=0)
    delete(runs, GONE)
    assert run(runs).counts.removals == 900
    assert SUBDIR.brakes_key not in runs.world.state.objects


def test_a_bucket_that_was_restored_and_is_emptied_again_waits_anew() -> None:
    runs = published()
    world = runs.world
    there = {key: world.channel.objects[key] for key in map(SUBDIR.file_key, GONE)}
    delete(runs, GONE)
    run(runs)
    pass_days(runs, 1)
    world.channel.objects |= there  # as one does who removes delete markers: the same versions
    assert is_quiet(run(runs))
    pass_days(runs, 30)
    delete(runs, GONE)
    found = waiting(run(runs))
    assert found
    assert found.since == world.now_ms


def test_a_bucket_that_was_filled_again_and_is_emptied_again_waits_anew() -> None:
    runs = published()
    world = runs.world
    delete(runs, GONE)
    run(runs)
    pass_days(runs, 1)
    for filename in GONE:
        world.add(filename)
    world.merge()
    delete(runs, GONE)
    pass_days(runs, 2)  # and nobody has compared meanwhile
    found = waiting(run(runs))
    assert found
    assert (found.packages, found.since) == (900, world.now_ms)


def test_what_a_broken_listing_shows_to_be_there_has_not_been_missing() -> None:
    runs = published()
    world = runs.world
    there = {key: world.channel.objects[key] for key in map(SUBDIR.file_key, GONE)}
    delete(runs, GONE)
    run(runs)
    world.channel.objects |= there
    liar = lying(runs)
    liar.hides = lambda _key: True
    pass_days(runs, 1)
    assert run(runs).counts.failed == 1
    liar.hides = lambda _key: False
    pass_days(runs, 2)
    delete(runs, GONE)
    assert run(runs).counts.removals == 0


def test_a_dry_run_says_what_would_wait_and_stores_nothing() -> None:
    runs = published()
    delete(runs, GONE)
    before = dict(runs.world.state.objects)
    report = run(runs, ReconcileRequest(dry_run=True))
    assert (report.counts.waiting, report.counts.removals) == (900, 0)
    confirmed = run(runs, ReconcileRequest(dry_run=True, confirm=filenames_digest(GONE)))
    assert (confirmed.counts.waiting, confirmed.counts.removals) == (0, 900)
    after = runs.world.state.objects
    assert {key: after[key] for key in after if not key.startswith("reconciliations/")} == {
        key: before[key] for key in before if not key.startswith("reconciliations/")
    }


def test_what_is_stored_is_what_was_decided() -> None:
    runs = published()
    world = runs.world
    delete(runs, NAMES[:100])
    run(runs)
    stored = decode_brake_state(world.state.body(SUBDIR.brakes_key), what=SUBDIR.brakes_key)
    assert stored == BrakeState(removed=dict.fromkeys(NAMES[:100], world.now_ms))
    delete(runs, NAMES[100:900])
    run(runs)
    marks = read_marks(world.state, SUBDIR).marks
    stored = decode_brake_state(world.state.body(SUBDIR.brakes_key), what=SUBDIR.brakes_key)
    assert stored.pending == dict.fromkeys(NAMES[:900], world.now_ms)
    assert stored.waiting == marks.waiting


@pytest.mark.parametrize("body", [b"?", b"{}", b'{"format": 99}'])
def test_what_is_stored_and_cannot_be_read_stages_nothing_and_is_named(body: bytes) -> None:
    runs = published(10)
    runs.world.state.upload(SUBDIR.brakes_key, body)
    delete(runs, NAMES[:2])
    runs.world.upload("another-1-0.conda", b"1")
    report = run(runs)
    (one,) = subdir_reports(report)
    assert one.failure
    assert SUBDIR.brakes_key in one.failure
    assert (report.counts.removals, report.counts.fed) == (0, 1)


# --- two at once, and one that dies --------------------------------------------------------------


def staged(runs: ReconcileRuns) -> set[str]:
    """The files whose removal is staged."""
    found = set()
    for key in runs.world.staged():
        filename = SUBDIR.staged_filename(key)
        assert filename
        found.add(filename)
    return found


def test_of_two_runs_at_once_the_second_counts_what_the_first_removes() -> None:
    runs = published()
    world = runs.world
    delete(runs, NAMES[:400])
    now = world.channel.objects
    of_other = dict(_published(PACKAGES).channel.objects)
    for name in NAMES[400:800]:
        del of_other[SUBDIR.file_key(name)]

    def another() -> None:
        world.channel.objects = of_other
        start_run(runs.reconciler, ONLY, time_left_ms=plenty)
        world.channel.objects = now

    world.state.before = at_request("PutObject", SUBDIR.brakes_key, another)
    run(runs)
    assert len(staged(runs)) == 400
    # Both runs began in the same second, so nothing tells which report is the later one.
    (found,) = filter(None, map(waiting, runs.reports()[-2:]))
    assert found.packages == 400


@pytest.mark.parametrize("key", [SUBDIR.brakes_key, SUBDIR.marks_key])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whoever_dies_at_the_decision_lets_nothing_through_early(key: str, *, after: bool) -> None:
    runs = published()
    delete(runs, GONE)
    hook = at_request("PutObject", key, kill_process)
    if after:
        runs.world.state.after = hook
    else:
        runs.world.state.before = hook
    with pytest.raises(ProcessKilled):
        run(runs)
    for _ in range(3):
        assert run(runs).counts.removals == 0
        pass_days(runs, 1)
    assert run(runs).counts.removals == 900


def test_an_answer_that_is_lost_is_settled_by_deciding_again() -> None:
    runs = published()
    delete(runs, GONE)

    def lose() -> None:
        raise LostAnswer

    runs.world.state.after = at_request("PutObject", SUBDIR.brakes_key, lose)
    report = run(runs)
    assert (report.counts.failed, report.counts.waiting) == (0, 900)


# --- over several steps -------------------------------------------------------------------------


def step_by_step(
    monkeypatch: pytest.MonkeyPatch, *, compared: int = 256, staged_at_once: int = 256
) -> None:
    monkeypatch.setattr(subdir, "NAMES_AT_ONCE", compared)
    monkeypatch.setattr(removals, "NAMES_AT_ONCE", staged_at_once)


def no_time() -> int:
    return 0


def test_a_subdir_that_takes_several_steps_is_decided_on_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step_by_step(monkeypatch, compared=100)
    runs = published()
    delete(runs, GONE)
    report = run(runs, time_left_ms=no_time)
    assert len(report.steps) > 9
    assert report.counts == Counts(subdirs=1, objects=100, gone=900, waiting=900)
    assert runs.world.staged() == []
    (found,) = (one.waiting for one in subdir_reports(report) if one.waiting)
    assert (found.digest, found.of) == (filenames_digest(GONE), 1000)


def test_waiting_lasts_whatever_the_steps_that_a_run_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step_by_step(monkeypatch, compared=100, staged_at_once=100)
    runs = published()
    delete(runs, GONE)
    for _ in range(3):
        assert run(runs, time_left_ms=no_time).counts.removals == 0
        pass_days(runs, 1)
    assert run(runs, time_left_ms=no_time).counts.removals == 900
    assert indexed(runs) == KEPT


def test_removals_that_take_several_steps_to_stage_are_those_that_were_decided_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step_by_step(monkeypatch, compared=300, staged_at_once=100)
    runs = published()
    delete(runs, GONE)
    report = start_run(
        runs.reconciler, ReconcileRequest(confirm=filenames_digest(GONE)), time_left_ms=no_time
    )
    removed = []
    while runs.continuations.messages:
        # What is staged is merged meanwhile, so later steps meet another catalog.
        runs.handle_requests()
        report = runs.run_step(runs.continuations.messages.pop(0).body, time_left_ms=no_time)
        removed.append(report.counts.removals)
    assert report.counts.removals == report.counts.gone == 900
    assert len(set(removed)) >= 9
    assert indexed(runs) == KEPT


def test_a_step_that_is_delivered_again_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    step_by_step(monkeypatch, compared=300, staged_at_once=300)
    runs = published()
    delete(runs, GONE)
    request = replace(ONLY, confirm=filenames_digest(GONE))
    report = start_run(runs.reconciler, request, time_left_ms=no_time)
    key = reconcile_part_key(report.run, SUBDIR)
    bodies = []
    while runs.continuations.messages:
        bodies.append(runs.continuations.messages.pop(0).body)
        # It dies when all is done but the report, and is delivered again.
        written = f"reconciliations/{report.run}.json"
        runs.world.state.before = at_request("PutObject", written, kill_process)
        with pytest.raises(ProcessKilled):
            runs.run_step(bodies[-1], time_left_ms=no_time)
        report = runs.run_step(bodies[-1], time_left_ms=no_time)
    assert key in runs.world.state.objects
    assert len(bodies) > 3
    assert report.counts.removals == report.counts.gone == 900
    assert staged(runs) == set(GONE)
    assert indexed(runs) == KEPT


def test_two_runs_of_several_steps_do_not_take_each_others_findings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step_by_step(monkeypatch, compared=100)
    runs = published()
    delete(runs, GONE)
    for _ in range(2):
        runs.world.tick()
        start_run(runs.reconciler, ONLY, time_left_ms=no_time)
    while runs.continuations.messages:
        runs.run_step(runs.continuations.messages.pop(0).body, time_left_ms=no_time)
    for report in runs.reports()[-2:]:
        assert report.finished_at is not None
        assert (report.counts.gone, report.counts.waiting) == (900, 900)


# --- what it costs ------------------------------------------------------------------------------


def test_what_is_missing_costs_twenty_looks_and_two_requests() -> None:
    runs = published()
    world = runs.world
    delete(runs, NAMES[:100])
    for store in (world.channel, world.state):
        store.requests.clear()
    run(runs)
    done = [operation for operation, key in world.channel.operations() if key.endswith(".conda")]
    assert done == ["HeadObject"] * MISSING_CHECKS_MAX
    listings = [key for what, key in world.channel.operations() if what == "ListObjectsV2"]
    assert listings.count(SUBDIR.prefix) == 1
    about = [operation for operation, key in world.state.operations() if key == SUBDIR.brakes_key]
    assert about == ["GetObject", "PutObject"]


def test_a_subdir_in_which_nothing_is_missing_costs_no_more_after_it_waited() -> None:
    runs = published()
    world = runs.world
    there = {key: world.channel.objects[key] for key in map(SUBDIR.file_key, GONE)}
    delete(runs, GONE)
    run(runs)
    world.channel.objects |= there
    run(runs)
    world.state.requests.clear()
    assert is_quiet(run(runs))
    assert [operation for operation, _ in world.state.operations()].count("GetObject") == 4
    assert SUBDIR.brakes_key not in [key for _, key in world.state.operations()]
