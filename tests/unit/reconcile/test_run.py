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
from tests.support.hooks import Death, die, on
from tests.support.repairs import Repairs, is_quiet, told
from tests.support.staged import PLENTY_MS, START_MS, SUBDIR, A, B, C, World

NOTHING_MS = 0
CHANNELS = ("a", "b", "c")


def plenty() -> int:
    return PLENTY_MS


def nothing() -> int:
    return NOTHING_MS


@pytest.fixture
def repairs() -> Repairs:
    return Repairs(World())


def upload_to_channels(repairs: Repairs, *channels: str) -> None:
    for channel in channels:
        repairs.world.channel.upload(f"{channel}/linux-64/{A}", b"")


def no_time_after(calls: int) -> Callable[[], int]:
    """Let time run out when it was asked for so often."""
    answers = iter([PLENTY_MS] * calls)
    return lambda: next(answers, NOTHING_MS)


# --- the report -----------------------------------------------------------------------------


def test_a_report_says_what_was_asked_found_and_done(repairs: Repairs) -> None:
    world = repairs.world
    world.upload(A, b"1")
    report = repairs.run(ReconcileRequest(channel=SUBDIR.channel))
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


def test_runs_of_the_same_second_have_names_of_their_own(repairs: Repairs) -> None:
    for _ in range(2):
        start_run(repairs.reconciler, ReconcileRequest(), time_left_ms=plenty)
    assert len(repairs.kept()) == 2


def test_only_subdirs_with_something_to_tell_are_told_of(repairs: Repairs) -> None:
    world = repairs.world
    world.add(A)
    world.merge()
    world.deliver()
    world.channel.upload(f"other/linux-64/{A}", b"")
    report = repairs.run()
    assert report.counts.subdirs == 3
    assert [one.channel for one in told(report)] == ["other"]


def test_a_report_stays_small_however_much_there_is_to_tell(repairs: Repairs) -> None:
    for number in range(REPORT_SUBDIRS_MAX + 5):
        repairs.world.channel.upload(f"channel{number:03}/noarch/{A}", b"")
    for number in range(REPORT_EXAMPLES_MAX + 5):
        repairs.world.channel.upload(f"a/noarch/package{number:03}-1-0.conda", b"")
    report = repairs.run()
    assert report.counts.missing == REPORT_SUBDIRS_MAX + REPORT_EXAMPLES_MAX + 10
    assert len(told(report)) == REPORT_SUBDIRS_MAX
    (examples,) = (one.examples["missing"] for one in told(report) if one.channel == "a")
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
    repairs: Repairs, request_: ReconcileRequest, fed: list[str]
) -> None:
    for folder in ("a/b/noarch", "a/linux-64", "a/noarch", "noarch"):
        repairs.world.channel.upload(f"{folder}/{A}", b"")
    report = repairs.run(request_)
    assert repairs.fed() == [f"{folder}/{A}" for folder in fed]
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
    repairs = Repairs(World(), prefixes=("a/noarch/", "b/"))
    with pytest.raises(UnknownEvent, match="lies outside of CHANNEL_PREFIXES"):
        start_run(repairs.reconciler, request_, time_left_ms=plenty)


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
    repairs = Repairs(World(), prefixes=("a/noarch/", "b/"))
    assert start_run(repairs.reconciler, request_, time_left_ms=plenty).finished_at is not None


def test_a_dry_run_says_all_that_would_be_done_and_does_nothing_of_it(repairs: Repairs) -> None:
    world = repairs.world
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
    dry = repairs.run(ReconcileRequest(dry_run=True))
    (report,) = world.state.keys("reconciliations/")
    assert {**before[0], report: world.state.objects[report]} == world.state.objects
    assert before[1] == world.channel.objects
    assert (repairs.fed(), world.queue.messages) == ([], [])
    wet = repairs.run()
    assert wet.counts == dry.counts
    assert told(wet) == told(dry)
    assert (wet.counts.fed, wet.counts.removals, wet.counts.merges) == (3, 1, 1)


# --- steps ----------------------------------------------------------------------------------


def test_a_run_goes_on_from_step_to_step_and_counts_each_subdir_once(repairs: Repairs) -> None:
    upload_to_channels(repairs, *CHANNELS)
    report = repairs.run(time_left_ms=nothing)
    assert sorted(repairs.fed()) == [f"{channel}/linux-64/{A}" for channel in CHANNELS]
    assert report.counts == Counts(subdirs=3, objects=3, missing=3, fed=3)
    assert [step.counts.missing for step in report.steps.values()] == [1, 1, 1, 0]
    assert report.finished_at == repairs.world.now_ms


def test_a_step_begins_no_other_subdir_when_it_has_less_time_than_one_may_take(
    repairs: Repairs,
) -> None:
    upload_to_channels(repairs, *CHANNELS)
    start_run(
        repairs.reconciler, ReconcileRequest(), time_left_ms=lambda: RECONCILE_TIME_RESERVE_MS
    )
    assert len(repairs.fed()) == 3
    start_run(
        repairs.reconciler, ReconcileRequest(), time_left_ms=lambda: RECONCILE_TIME_RESERVE_MS - 1
    )
    assert len(repairs.fed()) == 4


def test_a_step_is_sent_for_with_where_it_begins_and_an_id_of_its_own(repairs: Repairs) -> None:
    upload_to_channels(repairs, *CHANNELS)
    report = start_run(repairs.reconciler, ReconcileRequest(re_extract=True), time_left_ms=nothing)
    assert report.finished_at is None
    (message,) = repairs.continuations.messages
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
    repairs: Repairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subdir, "NAMES_AT_ONCE", 2)
    world = repairs.world
    filenames = [f"package{number}-1-0.conda" for number in range(9)]
    for filename in filenames:
        world.upload(filename, b"")
    world.channel.upload(f"z/noarch/{A}", b"")
    report = start_run(repairs.reconciler, ReconcileRequest(), time_left_ms=no_time_after(1))
    assert repairs.fed() == [SUBDIR.file_key(filename) for filename in filenames[:4]]
    assert report.steps["1"].next == Cursor(
        unfinished=(Unfinished(SUBDIR, "package3"),),
        phase=Phase.PACKAGES,
        after="Conda/Default/linux-640",
    )
    repairs.proceed(repairs.continuations.messages.pop(0).body, time_left_ms=nothing)
    assert repairs.fed() == [SUBDIR.file_key(filename) for filename in filenames[:6]]
    report = repairs.proceed(repairs.continuations.messages.pop(0).body)
    assert repairs.fed() == [*(SUBDIR.file_key(one) for one in filenames), f"z/noarch/{A}"]
    assert report.counts == Counts(subdirs=2, objects=10, missing=10, fed=10)
    assert [part.counts.missing for part in told(report)] == [4, 2, 3, 1]


def test_removals_of_a_subdir_that_is_not_finished_are_merged_all_the_same(
    repairs: Repairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "NAMES_AT_ONCE", 1)
    world = repairs.world
    for filename in (A, B):
        world.add(filename)
    world.merge()
    world.deliver()
    for filename in (A, B):
        world.remove(filename)
    world.tick(60)
    start_run(
        repairs.reconciler, ReconcileRequest(SUBDIR.channel, SUBDIR.name), time_left_ms=nothing
    )
    repairs.carry_out()
    assert set(world.published()) == {B}
    repairs.proceed(repairs.continuations.messages.pop(0).body)
    repairs.carry_out()
    assert set(world.published()) == set()
    assert is_quiet(repairs.run())


def test_keys_that_hold_what_sqs_refuses_in_messages_stop_no_run(
    repairs: Repairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "KEYS_PER_STOP_CHECK", 1)
    keys = [f"a/noarch/\uffff{number}-1-0.conda" for number in range(3)]
    for key in [*keys, "b/\ufffe"]:
        repairs.world.channel.upload(key, b"")
    repairs.run(time_left_ms=nothing)
    assert sorted(repairs.fed()) == keys


def test_garbage_is_left_to_the_next_step_when_time_is_short(
    repairs: Repairs,
) -> None:
    """A step that is killed while it lists garbage would be taken again and killed again."""
    world = repairs.world
    for body in (b"one", b"two"):
        world.add(A, body)
        world.merge()
    world.deliver()
    repairs.run()
    world.tick(9 * 24 * 3600)
    request = ReconcileRequest(SUBDIR.channel, SUBDIR.name)
    first = start_run(repairs.reconciler, request, time_left_ms=nothing)
    assert (first.counts.collected, first.finished_at) == (0, None)
    second = repairs.proceed(repairs.continuations.messages.pop(0).body, time_left_ms=nothing)
    assert second.counts.collected > 0
    assert second.counts.subdirs == 1
    assert second.finished_at is not None


def test_names_in_a_report_are_cut_where_no_package_has_a_longer_one(repairs: Repairs) -> None:
    repairs.world.channel.upload(f"a/noarch/{'x' * 900}.conda", b"")
    (one,) = told(repairs.run())
    (name,) = one.examples["missing"]
    assert len(name) == FILENAME_CHARS_MAX


@pytest.mark.parametrize("keys_per_tick", [1, 2, 3])
@pytest.mark.parametrize("names_at_once", [1, 2])
def test_a_run_finds_the_same_however_often_it_is_interrupted(
    keys_per_tick: int, names_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "KEYS_PER_STOP_CHECK", keys_per_tick)
    monkeypatch.setattr(subdir, "NAMES_AT_ONCE", names_at_once)
    repairs = Repairs(World())
    world = repairs.world
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
    at_once = repairs.run(ReconcileRequest(dry_run=True))
    bit_by_bit = repairs.run(ReconcileRequest(dry_run=True), time_left_ms=nothing)
    assert len(bit_by_bit.steps) > 10
    assert bit_by_bit.counts == at_once.counts
    assert at_once.counts.missing == len(keys) - 1
    assert at_once.counts.gone == 1


def test_a_step_that_is_delivered_again_counts_once(repairs: Repairs) -> None:
    upload_to_channels(repairs, *CHANNELS)
    start_run(repairs.reconciler, ReconcileRequest(), time_left_ms=nothing)
    (message,) = repairs.continuations.messages
    first = repairs.proceed(message.body, time_left_ms=nothing)
    fed = repairs.fed()
    again = repairs.proceed(message.body, time_left_ms=nothing)
    assert again == first
    assert repairs.fed() == fed
    # Sent for again, in case it was not the first time; the queue drops what it has had.
    assert [one.deduplication_id[-2:] for one in repairs.continuations.messages] == ["|2", "|3"]
    assert [one.deduplication_id[-2:] for one in repairs.continuations.dropped] == ["|3"]


def test_a_step_that_comes_back_when_the_run_is_further_on_multiplies_nothing(
    repairs: Repairs,
) -> None:
    upload_to_channels(repairs, *CHANNELS)
    start_run(repairs.reconciler, ReconcileRequest(), time_left_ms=nothing)
    second = repairs.continuations.messages.pop(0)
    repairs.proceed(second.body, time_left_ms=nothing)
    third = repairs.continuations.messages.pop(0)
    finished = repairs.proceed(third.body)
    repairs.world.tick(3600)  # the queue has forgotten what it was sent
    assert repairs.proceed(second.body) == finished
    assert repairs.continuations.messages == []


@pytest.mark.parametrize(
    "at", ["before the report", "after the report", "before the message", "after the message"]
)
def test_a_step_that_dies_is_taken_again_and_nothing_is_left_out(repairs: Repairs, at: str) -> None:
    upload_to_channels(repairs, *CHANNELS)
    start_run(repairs.reconciler, ReconcileRequest(), time_left_ms=nothing)
    (report,) = repairs.world.state.keys("reconciliations/")
    store, operation, key = (
        (repairs.world.state, "PutObject", report)
        if at.endswith("report")
        else (repairs.continuations, "SendMessage", "reconcile")
    )
    when = at.partition(" ")[0]
    setattr(store, when, on(operation, key, die))
    (message,) = repairs.continuations.messages
    repairs.continuations.messages.clear()
    with pytest.raises(Death):
        repairs.proceed(message.body, time_left_ms=nothing)
    repairs.proceed(message.body, time_left_ms=nothing)
    while repairs.continuations.messages:
        repairs.proceed(repairs.continuations.messages.pop(0).body, time_left_ms=nothing)
    (kept,) = repairs.kept()
    assert kept.finished_at is not None
    assert kept.counts == Counts(subdirs=3, objects=3, missing=3, fed=3)
    assert set(repairs.fed()) == {f"{channel}/linux-64/{A}" for channel in CHANNELS}


def test_a_step_whose_subdirs_cannot_be_looked_for_is_tried_again(repairs: Repairs) -> None:
    upload_to_channels(repairs, *CHANNELS)
    start_run(repairs.reconciler, ReconcileRequest(), time_left_ms=nothing)
    (message,) = repairs.continuations.messages

    def lose(operation: str, _key: str) -> None:
        if operation == "ListObjectsV2":
            raise LostAnswer

    repairs.world.channel.before = lose
    with pytest.raises(Unavailable):
        repairs.proceed(message.body)
    (kept,) = repairs.kept()
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
    repairs: Repairs, body: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        repairs.proceed(body)
    assert repairs.kept() == []


# --- trouble --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "failure"),
    [
        (b"broken", "Corrupt: heads/b/linux-64.json: "),
        (b'{"format": 99}', "TooNew: heads/b/linux-64.json has format 99"),
        (
            b'{"generation":1,"epoch":1,"commit":"c","tree":"t","writer":"w","format":1}',
            "Missing: a commit refers to trees/b/linux-64/t.msgpack.zst, but there is no such tree",
        ),
    ],
)
def test_a_subdir_that_cannot_be_read_does_not_stop_the_others(
    repairs: Repairs, harm: bytes, failure: str
) -> None:
    upload_to_channels(repairs, *CHANNELS)
    repairs.world.state.upload(Subdir("b", "linux-64").head_key, harm)
    report = repairs.run()
    assert repairs.fed() == [f"{channel}/linux-64/{A}" for channel in ("a", "c")]
    assert report.counts == Counts(subdirs=3, objects=2, missing=2, fed=2, failed=1)
    (failed,) = (one for one in told(report) if one.channel == "b")
    assert failed.failure
    assert failed.failure.startswith(failure)
    assert repairs.world.state.body(Subdir("b", "linux-64").head_key) == harm


def test_a_subdir_whose_packages_could_not_be_fed_has_failed_and_is_fed_another_day(
    repairs: Repairs,
) -> None:
    upload_to_channels(repairs, *CHANNELS)

    def lose() -> None:
        raise LostAnswer

    repairs.uploads.before = on("SendMessageBatch", "", lose)
    report = repairs.run()
    assert (report.counts.failed, len(repairs.fed())) == (1, 2)
    assert repairs.run().counts.failed == 0
    assert set(repairs.fed()) == {f"{channel}/linux-64/{A}" for channel in CHANNELS}


def test_a_head_that_somebody_has_put_back_is_told_of(repairs: Repairs) -> None:
    world = repairs.world
    world.add(A)
    world.merge()
    world.deliver()
    old = world.state.objects[SUBDIR.head_key]
    world.add(B)
    world.merge()
    world.state.objects[SUBDIR.head_key] = old
    report = repairs.run(ReconcileRequest(SUBDIR.channel, SUBDIR.name))
    assert report.counts.failed == 1
    (failed,) = told(report)
    assert failed.failure
    assert "the index is newer than heads/Conda%2FDefault/linux-64.json" in failed.failure
    world.state.remove(SUBDIR.head_key)  # as the sentence says
    world.tick(60)
    for _ in range(2):
        repairs.run()
        repairs.carry_out()
    assert set(world.published()) == {A, B}
    assert is_quiet(repairs.run())
