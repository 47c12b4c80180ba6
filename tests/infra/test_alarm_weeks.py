"""Each alarm of the template through a quiet, a busy and a broken week.

What a week sends is what the functions and AWS send: a metric of AWS/Lambda has a point, often 0,
whenever its function is invoked; SQS sends nothing for queues that nobody has used for hours;
metrics of our own come with the event that they count, or with each run of reconcile.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.monitoring import alarms
from testkit.alarms import AlarmRule, State, alarm_states
from tests.support.cloudformation import Deployment
from tests.support.metric_week import DAY, HOUR, MINUTES, MetricWeek
from tests.support.template import TEMPLATE, properties

ALARMS = alarms(TEMPLATE)
DEPTH = "ApproximateNumberOfMessagesVisible"
AGE = "ApproximateAgeOfOldestMessage"
FUNCTIONS = ("ExtractFunction", "MergeFunction", "ReconcileFunction")
BROKEN_FROM = 3 * DAY + 5 * HOUR
BEFORE_THE_WEEK = HOUR
"""An alarm that misses something has ended by then: the first reconcile comes within this time."""
WITH_ALL = {"ExistingChannelBucketName": "b"}


def reconciles(week: MetricWeek, *, takes_minutes: int) -> None:
    """A run each night that finds everything in order."""
    for day in range(7):
        at = day * DAY + takes_minutes
        for name in ("ReconcileRepairs", "RemovalsWaiting", "ReconcileFailures", "RepeatedRepairs"):
            week.send(name, "reconcile", 0, at=at)
        week.send("GarbageCollected", "reconcile", 40, at=at)
        week.send("ReconcileFinished", "reconcile", 1, at=at)
        works(week, "ReconcileFunction", start=day * DAY, end=at)


def works(week: MetricWeek, function: str, *, start: float, end: float) -> None:
    """A function that is invoked every minute, neither killed nor throttled."""
    for name in ("Errors", "Throttles"):
        week.send_each(name, function, 0, minutes=1, start=start, end=end)


def quiet() -> MetricWeek:
    """Two uploads a day, and a reconcile each night."""
    week = MetricWeek()
    reconciles(week, takes_minutes=2)
    for day in range(7):
        for at in (day * DAY + 9 * HOUR, day * DAY + 15 * HOUR):
            for function in ("ExtractFunction", "MergeFunction"):
                works(week, function, start=at, end=at + 1)
            week.send("PackagesIndexed", "merge", 1, at=at)
            week.send("PackagesRejected", "merge", 0, at=at)
            week.send("IndexLag", "merge", 15_000, at=at)
            for queue in ("UploadQueue", "MergeQueue"):
                week.send_each(AGE, queue, 10, minutes=5, start=at, end=at + HOUR)
    return week


def busy() -> MetricWeek:
    """Uploads all week, bursts of hours, and one of each thing that heals itself."""
    week = MetricWeek()
    reconciles(week, takes_minutes=40)
    for function in ("ExtractFunction", "MergeFunction"):
        works(week, function, start=0, end=MINUTES)
    for queue in ("UploadQueue", "MergeQueue"):
        week.send_each(AGE, queue, 60, minutes=5, start=0, end=MINUTES)
        week.send_each(DEPTH, queue, 5000, minutes=5, start=0, end=MINUTES)
    for minute in range(MINUTES):
        for second in range(3):
            week.send("IndexLag", "merge", 20_000 + second, at=minute)
        week.send("PackagesRejected", "merge", 0, at=minute)
    for day in range(7):
        burst = day * DAY + 10 * HOUR
        for queue in ("UploadQueue", "MergeQueue"):  # 100,000 at once, at its longest debounce
            week.send_each(AGE, queue, 600, minutes=5, start=burst, end=burst + HOUR)
        # Among them 500 packages of a minute each.
        week.send_each(AGE, "SlowUploadQueue", 3000, minutes=5, start=burst, end=burst + HOUR)
        week.send_each("IndexLag", "merge", 550_000, minutes=1, start=burst, end=burst + HOUR)
        # Lambda adds 1,000 environments each ten seconds; a burst may be ahead of it.
        for function in FUNCTIONS:
            week.send_each("Throttles", function, 20, minutes=1, start=burst, end=burst + 5)
        # S3 answers 503 for a moment, and one process is killed with its machine.
        week.send("MergeFailures", "merge", 3, at=burst)
        week.send("Errors", "MergeFunction", 1, at=burst)
        week.send("Errors", "ExtractFunction", 1, at=burst)
    # An event is lost. Reconcile finds the package the next night, a day late.
    week.send("ReconcileRepairs", "reconcile", 1, at=4 * DAY + 40)
    week.send("IndexLag", "merge", 80_000_000, at=4 * DAY + 45)
    return week


Break = Callable[[MetricWeek], None]


def stays(queue: str) -> Break:
    """A message comes into a dead-letter queue, and nobody looks."""

    def breaks(week: MetricWeek) -> None:
        week.send_each(DEPTH, queue, 1, minutes=5, start=BROKEN_FROM, end=MINUTES)

    return breaks


def gets_older(queue: str) -> Break:
    """A queue stands still."""

    def breaks(week: MetricWeek) -> None:
        for minute in range(BROKEN_FROM, MINUTES, 5):
            week.send(AGE, queue, (minute - BROKEN_FROM) * 60, at=minute)

    return breaks


def once(metric: str, of: str) -> Break:
    """Something happens that a person should know of."""

    def breaks(week: MetricWeek) -> None:
        week.send(metric, of, 1, at=BROKEN_FROM)

    return breaks


def keeps_dying(function: str, queue: str, tries: int) -> Break:
    """One message has its function killed each time, which takes no time."""
    visibility_minutes = properties(queue)["VisibilityTimeout"] / 60

    def breaks(week: MetricWeek) -> None:
        end = BROKEN_FROM + tries * visibility_minutes
        week.send_each(
            "Errors", function, 1, minutes=visibility_minutes, start=BROKEN_FROM, end=end
        )

    return breaks


def keeps_failing(week: MetricWeek) -> None:
    """A merge cannot be done; its longest delay is five minutes."""
    week.send_each("MergeFailures", "merge", 1, minutes=5, start=BROKEN_FROM, end=MINUTES)


def is_behind(week: MetricWeek) -> None:
    """For an hour all that is indexed has waited for a quarter of one."""
    week.send_each(
        "IndexLag", "merge", 900_000, minutes=0.2, start=BROKEN_FROM, end=BROKEN_FROM + HOUR
    )


def is_throttled(function: str) -> Break:
    """Somebody else uses up the account's concurrency."""

    def breaks(week: MetricWeek) -> None:
        week.send_each(
            "Throttles", function, 4, minutes=2, start=BROKEN_FROM, end=BROKEN_FROM + HOUR
        )

    return breaks


def never_finishes(week: MetricWeek) -> None:
    """The schedule is gone, or each run is killed."""
    week.forget("ReconcileFinished", "reconcile", since=BROKEN_FROM)


def events_are_lost(week: MetricWeek) -> None:
    """Somebody has replaced the bucket's notifications."""
    for day in (4, 5, 6):
        at = day * DAY + 2
        week.send("ReconcileRepairs", "reconcile", 2, at=at)
        week.send("RepeatedRepairs", "reconcile", 2 if day > 4 else 0, at=at)


EXTRACT_TRIES = properties("UploadQueue")["RedrivePolicy"]["maxReceiveCount"]
MERGE_TRIES = properties("MergeQueue")["RedrivePolicy"]["maxReceiveCount"]
BREAKS: dict[str, tuple[Break, int]] = {
    "UploadDlqAlarm": (stays("UploadDlq"), 10),
    "SlowUploadDlqAlarm": (stays("SlowUploadDlq"), 10),
    "MergeDlqAlarm": (stays("MergeDlq"), 10),
    "ReconcileDlqAlarm": (stays("ReconcileDlq"), 10),
    "EventDlqAlarm": (stays("EventDlq"), 10),
    "UploadAgeAlarm": (gets_older("UploadQueue"), 25),
    "SlowUploadAgeAlarm": (gets_older("SlowUploadQueue"), 70),
    "MergeAgeAlarm": (gets_older("MergeQueue"), 25),
    "MergeFailuresAlarm": (keeps_failing, 30),
    "WrongStateAlarm": (once("WrongState", "sluice"), 10),
    "MergeErrorsAlarm": (keeps_dying("MergeFunction", "MergeQueue", MERGE_TRIES), 30),
    "ExtractErrorsAlarm": (keeps_dying("ExtractFunction", "UploadQueue", EXTRACT_TRIES), 30),
    "IndexLagAlarm": (is_behind, 15),
    "PackagesRejectedAlarm": (once("PackagesRejected", "merge"), 10),
    "ReconcileFailuresAlarm": (once("ReconcileFailures", "reconcile"), 60),
    "RemovalsWaitingAlarm": (once("RemovalsWaiting", "reconcile"), 60),
    "ReconcileErrorsAlarm": (once("Errors", "ReconcileFunction"), 60),
    "ExtractThrottlesAlarm": (is_throttled("ExtractFunction"), 30),
    "MergeThrottlesAlarm": (is_throttled("MergeFunction"), 30),
    "ReconcileThrottlesAlarm": (is_throttled("ReconcileFunction"), 30),
    "ReconcileMissingAlarm": (never_finishes, 40 * HOUR),
    "RepeatedRepairsAlarm": (events_are_lost, 2 * DAY),
    "UploadRuleAlarm": (once("FailedInvocations", "UploadRule"), 10),
}
"""What each alarm is for, and the minutes within which it says so."""


def rule_of(name: str, **parameters: str | float) -> AlarmRule:
    return AlarmRule.from_properties(Deployment(**parameters).properties(name))


def states(name: str, week: MetricWeek, **parameters: str | float) -> list[tuple[int, State]]:
    """The state of an alarm at the end of each period, which is a minute of the week."""
    rule = rule_of(name, **parameters)
    points = week.points(ALARMS[name].metric, rule.period_seconds)
    minutes = rule.period_seconds // 60
    return [
        ((number + 1) * minutes, state) for number, state in enumerate(alarm_states(rule, points))
    ]


def test_there_is_a_broken_week_for_every_alarm() -> None:
    assert sorted(BREAKS) == sorted(ALARMS)


@pytest.mark.parametrize("name", ALARMS)
@pytest.mark.parametrize("week", [quiet, busy])
def test_an_alarm_is_silent_all_through_a_week_in_which_nothing_is_wrong(
    name: str, week: Callable[[], MetricWeek]
) -> None:
    loud = [
        (at / HOUR, state.name)
        for at, state in states(name, week(), **WITH_ALL)
        if state is not State.OK and at > BEFORE_THE_WEEK
    ]
    assert loud == []


@pytest.mark.parametrize("name", ALARMS)
@pytest.mark.parametrize("week", [quiet, busy])
def test_an_alarm_is_raised_in_the_week_that_it_is_for(
    name: str, week: Callable[[], MetricWeek]
) -> None:
    breaks, within = BREAKS[name]
    broken = week()
    breaks(broken)
    alarm_states = states(name, broken, **WITH_ALL)
    raised = [at for at, state in alarm_states if state is State.ALARM and at > BEFORE_THE_WEEK]
    assert raised, "it was never raised"
    assert BROKEN_FROM < raised[0] <= BROKEN_FROM + within + rule_of(name).period_seconds // 60


# --- the reconcile that does not come ------------------------------------------------------------


def every(hours: int, *, until: int = MINUTES) -> MetricWeek:
    """A reconcile every so many hours."""
    week = MetricWeek()
    week.send_each("ReconcileFinished", "reconcile", 1, minutes=hours * 60, start=5, end=until)
    return week


@pytest.mark.parametrize(("every_hours", "overdue"), [(1, 2), (6, 8), (12, 14), (24, 36), (72, 80)])
def test_a_missing_reconcile_is_an_alarm_once_it_is_overdue_for_any_schedule(
    every_hours: int, overdue: int
) -> None:
    alarm_states = states(
        "ReconcileMissingAlarm", every(every_hours), ReconcileOverdueHours=overdue
    )
    assert {state for at, state in alarm_states if at > BEFORE_THE_WEEK} == {State.OK}
    last = 3 * DAY
    broken = every(every_hours, until=last)
    raised = [
        at
        for at, state in states("ReconcileMissingAlarm", broken, ReconcileOverdueHours=overdue)
        if state is State.ALARM and at > BEFORE_THE_WEEK
    ]
    assert last - every_hours * HOUR + overdue * HOUR < raised[0]
    assert raised[0] <= last + (overdue + 4) * HOUR


@pytest.mark.parametrize(
    "parameters",
    [{"ReconcileSchedule": "none"}, {"ReconcileOverdueHours": 0}],
)
def test_nobody_waits_for_a_reconcile_that_is_not_to_come(
    parameters: dict[str, str | float],
) -> None:
    alarm_states = states("ReconcileMissingAlarm", MetricWeek(), **parameters)
    assert {state for _, state in alarm_states} == {State.OK}


def test_the_longest_wait_is_one_that_cloudwatch_takes() -> None:
    parameter = TEMPLATE["Parameters"]["ReconcileOverdueHours"]
    rule = rule_of("ReconcileMissingAlarm", ReconcileOverdueHours=parameter["MaxValue"])
    assert rule.evaluation_periods == parameter["MaxValue"]


@pytest.mark.parametrize(
    ("schedule", "expression", "state"),
    [
        ("rate(1 day)", "rate(1 day)", "ENABLED"),
        ("cron(0 3 * * ? *)", "cron(0 3 * * ? *)", "ENABLED"),
        ("none", "rate(1 day)", "DISABLED"),
    ],
)
def test_a_schedule_can_be_turned_off(schedule: str, expression: str, state: str) -> None:
    function = Deployment(ReconcileSchedule=schedule).properties("ReconcileFunction")
    event = function["Events"]["Schedule"]["Properties"]
    assert (event["ScheduleExpression"], event["State"]) == (expression, state)


@pytest.mark.parametrize("name", ["EventDlqAlarm", "UploadRuleAlarm", "EventDlq", "EventDlqPolicy"])
def test_what_is_about_the_rule_is_there_where_the_rule_is(name: str) -> None:
    assert not Deployment().has(name)
    assert Deployment(ExistingChannelBucketName="b").has(name)
