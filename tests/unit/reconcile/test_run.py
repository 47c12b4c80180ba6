"""A run: its steps, its report, and what one subdir's trouble means for the others."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sluice.errors import TooNew, Unavailable, UnknownEvent
from sluice.layout import Subdir
from sluice.limits import (
    FILENAME_CHARS_MAX,
    RECONCILE_TIME_RESERVE_MS,
    REPORT_EXAMPLES_MAX,
    REPORT_SUBDIRS_MAX,
)
from sluice.reconcile import discover, removals, subdir
from sluice.reconcile.cursor import Cursor, Phase, Unfinished
from sluice.reconcile.report import Counts, ReconcileReport, StepReport, SubdirReport
from sluice.reconcile.run import ReconcileRequest, parse_reconcile_request, start_run
from testkit.memory_queue import Message
from testkit.memory_store import LostAnswer
from tests.support.reconcile_runs import ReconcileRuns, is_quiet, subdir_reports
from tests.support.request_hooks import ProcessKilled, at_request, kill_process
from tests.support.staging_records import START_MS, SUBDIR, A, B, C
from tests.support.subdir_world import PLENTY_MS, World

NOTHING_MS = 0
CHANNELS = ("a", "b", "c")


def plenty() -> int:
    return PLENTY_MS


def nothing() -> int:
    return NOTHING_MS


@pytest.fixture
def runs() -> ReconcileRuns:
    return ReconcileRuns(World())


def upload_to_channels(runs: ReconcileRuns, *channels: str) -> None:
    for channel in channels:
        runs.world.channel.upload(f"{channel}/linux-64/{A}", b"")


def no_time_after(calls: int) -> Callable[[], int]:
    """Let time run out when it was asked for so often."""
    answers = iter([PLENTY_MS] * calls)
    return lambda: next(answers, NOTHING_MS)


# --- the report -----------------------------------------------------------------------------


def test_a_report_says_what_was_asked_found_and_done(runs: ReconcileRuns) -> None:
    world = runs.world
    world.upload(A, b"1")
    report = runs.run(ReconcileRequest(channel=SUBDIR.channel))
    counts = Counts(subdirs=1, objects=1, missing=1, fed=1)
    assert report == ReconcileReport(
        run=report.run,
        started_at=START_MS + 2000,
        finished_at=START_MS + 2000,
        request=ReconcileRequest(channel=SUBDIR.channel),
        counts=counts,
        steps={
            "1": StepReport(
                counts=counts,
                subdirs=[
                    SubdirReport(
                        channel=SUBDIR.channel,
                        subdir=SUBDIR.name,
                        counts=counts,
                        examples={"missing": [A]},
                    )
                ],
            )
        },
    )
    assert report.run.startswith("2025-06-15T150642Z-")
    assert world.state.keys("reconciliations/") == [f"reconciliations/{report.run}.json"]


def test_runs_of_the_same_second_have_names_of_their_own(runs: ReconcileRuns) -> None:
    for _ in range(2):
        start_run(runs.reconciler, ReconcileRequest(), time_left_ms=plenty)
    assert len(runs.reports()) == 2


def test_only_subdirs_with_something_to_tell_are_told_of(runs: ReconcileRuns) -> None:
    world = runs.world
    world.add(A)
    world.merge()
    world.deliver()
    world.channel.upload(f"other/linux-64/{A}", b"")
    report = runs.run()
    assert report.counts.subdirs == 3
    assert [one.channel for one in subdir_reports(report)] == ["other"]


def test_a_report_stays_small_however_much_there_is_to_tell(runs: ReconcileRuns) -> None:
    for number in range(REPORT_SUBDIRS_MAX + 5):
        runs.world.channel.upload(f"channel{number:03}/noarch/{A}", b"")
    for number in range(REPORT_EXAMPLES_MAX + 5):
        runs.world.channel.upload(f"a/noarch/package{number:03}-1-0.conda", b"")
    report = runs.run()
    assert report.counts.missing == REPORT_SUBDIRS_MAX + REPORT_EXAMPLES_MAX + 10
    assert len(subdir_reports(report)) == REPORT_SUBDIRS_MAX
    (examples,) = (one.examples["missing"] for one in subdir_reports(report) if one.channel == "a")
    assert examples == [f"package{number:03}-1-0.conda" for number in range(REPORT_EXAMPLES_MAX)]


# --- what is asked for ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "fed"),
    [
        (ReconcileRequest(), ["a/b/noarch", "a/linux-64", "a/noarch", "noarch"]),
        (ReconcileRequest(channel="a"), ["a/linux-64", "a/noarch"]),
        (ReconcileRequest(channel="a", subdir="noarch"), ["a/noarch"]),
        (ReconcileRequest(channel="a", subdir="osx-64"), []),
        (ReconcileRequest(channel=""), ["noarch"]),
        (ReconcileRequest(channel="", subdir="noarch"), ["noarch"]),
        (ReconcileRequest(channel="none"), []),
    ],
)
def test_all_channels_one_or_one_subdir_can_be_asked_for(
    runs: ReconcileRuns, request_: ReconcileRequest, fed: list[str]
) -> None:
    for folder in ("a/b/noarch", "a/linux-64", "a/noarch", "noarch"):
        runs.world.channel.upload(f"{folder}/{A}", b"")
    report = runs.run(request_)
    assert runs.requeued_keys() == [f"{folder}/{A}" for folder in fed]
    assert report.counts.missing == len(fed)


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        ({}, ReconcileRequest()),
        ({"channel": ""}, ReconcileRequest(channel="")),
        ({"channel": "a/b", "subdir": "noarch"}, ReconcileRequest(channel="a/b", subdir="noarch")),
        (
            {"dry_run": True, "re_extract": True, "adopt": True},
            ReconcileRequest(dry_run=True, re_extract=True, adopt=True),
        ),
    ],
)
def test_a_request_is_read_as_it_was_meant(payload: object, request_: ReconcileRequest) -> None:
    assert parse_reconcile_request(payload) == request_


@pytest.mark.parametrize("channel", ["my team", "a%2Fb", "a//b", "a/../b"])
def test_what_can_be_no_channel_cannot_be_asked_for(channel: str) -> None:
    with pytest.raises(UnknownEvent, match="cannot be the path of a channel"):
        parse_reconcile_request({"channel": channel, "subdir": "noarch"})


@pytest.mark.parametrize(
    "request_",
    [
        ReconcileRequest(channel="c"),
        ReconcileRequest(channel="a/b", subdir="noarch"),
        ReconcileRequest(channel="a", subdir="linux-64"),
        ReconcileRequest(channel="ab"),
    ],
)
def test_what_lies_outside_of_the_prefixes_cannot_be_asked_for(request_: ReconcileRequest) -> None:
    runs = ReconcileRuns(World(), prefixes=("a/noarch/", "b/"))
    with pytest.raises(UnknownEvent, match="is outside of CHANNEL_PREFIXES"):
        start_run(runs.reconciler, request_, time_left_ms=plenty)


@pytest.mark.parametrize(
    "request_",
    [
        ReconcileRequest(),
        ReconcileRequest(channel=""),
        ReconcileRequest(channel="a"),
        ReconcileRequest(channel="a", subdir="noarch"),
        ReconcileRequest(channel="b"),
    ],
)
def test_what_lies_inside_of_the_prefixes_can(request_: ReconcileRequest) -> None:
    runs = ReconcileRuns(World(), prefixes=("a/noarch/", "b/"))
    assert start_run(runs.reconciler, request_, time_left_ms=plenty).finished_at is not None


def test_a_dry_run_says_all_that_would_be_done_and_does_nothing_of_it(runs: ReconcileRuns) -> None:
    world = runs.world
    for filename in (A, B):
        world.add(filename)
    world.merge()
    world.deliver()
    world.upload(C, b"")
    world.upload(A, b"rebuilt")
    world.remove(B)
    world.channel.remove(SUBDIR.file_key("repodata.json"))
    world.add_corrupt("bad-1-0.conda")
    before = dict(world.state.objects), dict(world.channel.objects)
    dry = runs.run(ReconcileRequest(dry_run=True))
    (report,) = world.state.keys("reconciliations/")
    assert {**before[0], report: world.state.objects[report]} == world.state.objects
    assert before[1] == world.channel.objects
    assert (runs.requeued_keys(), world.queue.messages) == ([], [])
    wet = runs.run()
    assert wet.counts == dry.counts
    assert subdir_reports(wet) == subdir_reports(dry)
    assert (wet.counts.fed, wet.counts.removals, wet.counts.merges) == (3, 1, 1)


# --- steps ----------------------------------------------------------------------------------


def test_a_run_goes_on_from_step_to_step_and_counts_each_subdir_once(runs: ReconcileRuns) -> None:
    upload_to_channels(runs, *CHANNELS)
    report = runs.run(time_left_ms=nothing)
    assert sorted(runs.requeued_keys()) == [f"{channel}/linux-64/{A}" for channel in CHANNELS]
    assert report.counts == Counts(subdirs=3, objects=3, missing=3, fed=3)
    assert [step.counts.missing for step in report.steps.values()] == [1, 1, 1, 0]
    assert report.finished_at == runs.world.now_ms


def test_a_step_begins_no_other_subdir_when_it_has_less_time_than_one_may_take(
    runs: ReconcileRuns,
) -> None:
    upload_to_channels(runs, *CHANNELS)
    start_run(runs.reconciler, ReconcileRequest(), time_left_ms=lambda: RECONCILE_TIME_RESERVE_MS)
    assert len(runs.requeued_keys()) == 3
    start_run(
        runs.reconciler, ReconcileRequest(), time_left_ms=lambda: RECONCILE_TIME_RESERVE_MS - 1
    )
    assert len(runs.requeued_keys()) == 4


def test_a_step_is_sent_for_with_where_it_begins_and_an_id_of_its_own(runs: ReconcileRuns) -> None:
    upload_to_channels(runs, *CHANNELS)
    report = start_run(runs.reconciler, ReconcileRequest(re_extract=True), time_left_ms=nothing)
    assert report.finished_at is None
    (message,) = runs.continuations.messages
    body = {
        "run": report.run,
        "step": 2,
        "started_at": report.started_at,
        "request": {
            "channel": None,
            "subdir": None,
            "dry_run": False,
            "re_extract": True,
            "adopt": False,
            "confirm": None,
        },
        "cursor": {"unfinished": [], "phase": "packages", "after": "a/linux-640"},
        "format": 1,
    }
    assert json.loads(message.body) == body
    assert message == Message(message.body, "reconcile", f"{report.run}|2")


def test_a_step_that_runs_out_of_time_in_a_subdir_continues_exactly_where_it_stopped(
    runs: ReconcileRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subdir, "NAMES_AT_ONCE", 2)
    world = runs.world
    filenames = [f"package{number}-1-0.conda" for number in range(9)]
    for filename in filenames:
        world.upload(filename, b"")
    world.channel.upload(f"z/noarch/{A}", b"")
    report = start_run(runs.reconciler, ReconcileRequest(), time_left_ms=no_time_after(1))
    assert runs.requeued_keys() == [SUBDIR.file_key(filename) for filename in filenames[:4]]
    assert report.steps["1"].next == Cursor(
        unfinished=(Unfinished(SUBDIR, "package3"),),
        phase=Phase.PACKAGES,
        after="Conda/Default/linux-640",
    )
    runs.run_step(runs.continuations.messages.pop(0).body, time_left_ms=nothing)
    assert runs.requeued_keys() == [SUBDIR.file_key(filename) for filename in filenames[:6]]
    report = runs.run_step(runs.continuations.messages.pop(0).body)
    assert runs.requeued_keys() == [*(SUBDIR.file_key(one) for one in filenames), f"z/noarch/{A}"]
    assert report.counts == Counts(subdirs=2, objects=10, missing=10, fed=10)
    assert [part.counts.missing for part in subdir_reports(report)] == [4, 2, 3, 1]


def test_removals_of_a_subdir_that_is_not_finished_are_merged_all_the_same(
    runs: ReconcileRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "NAMES_AT_ONCE", 1)
    world = runs.world
    for filename in (A, B):
        world.add(filename)
    world.merge()
    world.deliver()
    for filename in (A, B):
        world.remove(filename)
    world.tick(60)
    start_run(runs.reconciler, ReconcileRequest(SUBDIR.channel, SUBDIR.name), time_left_ms=nothing)
    runs.handle_requests()
    assert set(world.published()) == {B}
    runs.run_step(runs.continuations.messages.pop(0).body)
    runs.handle_requests()
    assert set(world.published()) == set()
    assert is_quiet(runs.run())


def test_keys_that_hold_what_sqs_refuses_in_messages_stop_no_run(
    runs: ReconcileRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "KEYS_PER_STOP_CHECK", 1)
    keys = [f"a/noarch/x{number}-1\uffff-0.conda" for number in range(3)]
    for key in [*keys, "b/\ufffe"]:
        runs.world.channel.upload(key, b"")
    runs.run(time_left_ms=nothing)
    assert sorted(runs.requeued_keys()) == keys


def test_garbage_is_left_to_the_next_step_when_time_is_short(
    runs: ReconcileRuns,
) -> None:
    """A step that is killed while it lists garbage would be taken again and killed again."""
    world = runs.world
    for body in (b"one", b"two"):
        world.add(A, body)
        world.merge()
    world.deliver()
    runs.run()
    world.tick(9 * 24 * 3600)
    request = ReconcileRequest(SUBDIR.channel, SUBDIR.name)
    first = start_run(runs.reconciler, request, time_left_ms=nothing)
    assert (first.counts.collected, first.finished_at) == (0, None)
    second = runs.run_step(runs.continuations.messages.pop(0).body, time_left_ms=nothing)
    assert second.counts.collected > 0
    assert second.counts.subdirs == 1
    assert second.finished_at is not None


def test_names_in_a_report_are_cut_where_no_package_has_a_longer_one(runs: ReconcileRuns) -> None:
    runs.world.channel.upload(f"a/noarch/x-{'1' * 900}-0.conda", b"")
    (one,) = subdir_reports(runs.run())
    (name,) = one.examples["missing"]
    assert len(name) == FILENAME_CHARS_MAX


@pytest.mark.parametrize("keys_per_tick", [1, 2, 3])
@pytest.mark.parametrize("names_at_once", [1, 2])
def test_a_run_finds_the_same_however_often_it_is_interrupted(
    keys_per_tick: int, names_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "KEYS_PER_STOP_CHECK", keys_per_tick)
    monkeypatch.setattr(subdir, "NAMES_AT_ONCE", names_at_once)
    runs = ReconcileRuns(World())
    world = runs.world
    keys = [
        *(f"my-channel/linux-64/package{number}-1-0.conda" for number in range(5)),
        *(f"my-channel/noarch/package{number}-1-0.conda" for number in range(3)),
        "my-channel/a-1-0.conda",
        "my-channel/z-1-0.conda",
        "other/notes",
        "other/noarch/x-1-0.conda",
    ]
    for key in keys:
        world.channel.upload(key, b"")
    world.add(A)
    world.merge()
    world.remove(A)  # found by its head alone
    at_once = runs.run(ReconcileRequest(dry_run=True))
    bit_by_bit = runs.run(ReconcileRequest(dry_run=True), time_left_ms=nothing)
    assert len(bit_by_bit.steps) > 10
    assert bit_by_bit.counts == at_once.counts
    assert at_once.counts.missing == len(keys) - 1
    assert at_once.counts.gone == 1


def test_a_step_that_is_delivered_again_counts_once(runs: ReconcileRuns) -> None:
    upload_to_channels(runs, *CHANNELS)
    start_run(runs.reconciler, ReconcileRequest(), time_left_ms=nothing)
    (message,) = runs.continuations.messages
    first = runs.run_step(message.body, time_left_ms=nothing)
    fed = runs.requeued_keys()
    again = runs.run_step(message.body, time_left_ms=nothing)
    assert again == first
    assert runs.requeued_keys() == fed
    # Sent for again, in case it was not the first time; the queue drops what it has had.
    assert [one.deduplication_id[-2:] for one in runs.continuations.messages] == ["|2", "|3"]
    assert [one.deduplication_id[-2:] for one in runs.continuations.dropped] == ["|3"]


def test_a_step_that_comes_back_when_the_run_is_further_on_multiplies_nothing(
    runs: ReconcileRuns,
) -> None:
    upload_to_channels(runs, *CHANNELS)
    start_run(runs.reconciler, ReconcileRequest(), time_left_ms=nothing)
    second = runs.continuations.messages.pop(0)
    runs.run_step(second.body, time_left_ms=nothing)
    third = runs.continuations.messages.pop(0)
    finished = runs.run_step(third.body)
    runs.world.tick(3600)  # the queue has forgotten what it was sent
    assert runs.run_step(second.body) == finished
    assert runs.continuations.messages == []


@pytest.mark.parametrize(
    "at", ["before the report", "after the report", "before the message", "after the message"]
)
def test_a_step_that_dies_is_taken_again_and_nothing_is_left_out(
    runs: ReconcileRuns, at: str
) -> None:
    upload_to_channels(runs, *CHANNELS)
    start_run(runs.reconciler, ReconcileRequest(), time_left_ms=nothing)
    (report,) = runs.world.state.keys("reconciliations/")
    store, operation, key = (
        (runs.world.state, "PutObject", report)
        if at.endswith("report")
        else (runs.continuations, "SendMessage", "reconcile")
    )
    when = at.partition(" ")[0]
    setattr(store, when, at_request(operation, key, kill_process))
    (message,) = runs.continuations.messages
    runs.continuations.messages.clear()
    with pytest.raises(ProcessKilled):
        runs.run_step(message.body, time_left_ms=nothing)
    runs.run_step(message.body, time_left_ms=nothing)
    while runs.continuations.messages:
        runs.run_step(runs.continuations.messages.pop(0).body, time_left_ms=nothing)
    (kept,) = runs.reports()
    assert kept.finished_at is not None
    assert kept.counts == Counts(subdirs=3, objects=3, missing=3, fed=3)
    assert set(runs.requeued_keys()) == {f"{channel}/linux-64/{A}" for channel in CHANNELS}


def test_a_step_whose_subdirs_cannot_be_looked_for_is_tried_again(runs: ReconcileRuns) -> None:
    upload_to_channels(runs, *CHANNELS)
    start_run(runs.reconciler, ReconcileRequest(), time_left_ms=nothing)
    (message,) = runs.continuations.messages

    def lose(operation: str, _key: str) -> None:
        if operation == "ListObjectsV2":
            raise LostAnswer

    runs.world.channel.before = lose
    with pytest.raises(Unavailable):
        runs.run_step(message.body)
    (kept,) = runs.reports()
    assert list(kept.steps) == ["1"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("not a step", UnknownEvent),
        ("{}", UnknownEvent),
        ('{"run":"r","step":2,"started_at":1,"request":{},"cursor":{},"format":2}', TooNew),
        ('{"run":"r","step":2,"started_at":1,"request":{},"cursor":{"phase":"x"}}', UnknownEvent),
    ],
)
def test_a_message_that_is_no_step_is_refused(
    runs: ReconcileRuns, body: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        runs.run_step(body)
    assert runs.reports() == []


# --- trouble --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "failure"),
    [
        (b"broken", "Corrupt: heads/b/linux-64.json: "),
        (b'{"format": 99}', "TooNew: heads/b/linux-64.json has format 99"),
        (
            b'{"generation":1,"epoch":1,"commit":"c","tree":"t","writer":"w","format":1}',
            (
                "Missing: a commit refers to the tree trees/b/linux-64/t.msgpack.zst, which does "
                "not exist"
            ),
        ),
    ],
)
def test_a_subdir_that_cannot_be_read_does_not_stop_the_others(
    runs: ReconcileRuns, harm: bytes, failure: str
) -> None:
    upload_to_channels(runs, *CHANNELS)
    runs.world.state.upload(Subdir("b", "linux-64").head_key, harm)
    report = runs.run()
    assert runs.requeued_keys() == [f"{channel}/linux-64/{A}" for channel in ("a", "c")]
    assert report.counts == Counts(subdirs=3, objects=2, missing=2, fed=2, failed=1)
    (failed,) = (one for one in subdir_reports(report) if one.channel == "b")
    assert failed.failure
    assert failed.failure.startswith(failure)
    assert runs.world.state.body(Subdir("b", "linux-64").head_key) == harm


def test_a_subdir_whose_packages_could_not_be_fed_has_failed_and_is_fed_another_day(
    runs: ReconcileRuns,
) -> None:
    upload_to_channels(runs, *CHANNELS)

    def lose() -> None:
        raise LostAnswer

    runs.uploads.before = at_request("SendMessageBatch", "", lose)
    report = runs.run()
    assert (report.counts.failed, len(runs.requeued_keys())) == (1, 2)
    assert runs.run().counts.failed == 0
    assert set(runs.requeued_keys()) == {f"{channel}/linux-64/{A}" for channel in CHANNELS}


def test_a_head_that_somebody_has_put_back_is_told_of(runs: ReconcileRuns) -> None:
    world = runs.world
    world.add(A)
    world.merge()
    world.deliver()
    old = world.state.objects[SUBDIR.head_key]
    world.add(B)
    world.merge()
    world.state.objects[SUBDIR.head_key] = old
    report = runs.run(ReconcileRequest(SUBDIR.channel, SUBDIR.name))
    assert report.counts.failed == 1
    (failed,) = subdir_reports(report)
    assert failed.failure
    assert "the index is newer than heads/Conda%2FDefault/linux-64.json" in failed.failure
    world.state.remove(SUBDIR.head_key)  # as the sentence says
    world.tick(60)
    for _ in range(2):
        runs.run()
        runs.handle_requests()
    assert set(world.published()) == {A, B}
    assert is_quiet(runs.run())
