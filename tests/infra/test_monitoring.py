"""Alarms and dashboard: what a person is told, and what it costs.

That the metrics exist which they name is shown in ``functions/test_metrics.py``.
"""

from __future__ import annotations

import json
import re
from itertools import combinations, product
from typing import Any

import pytest

from local.monitoring import Alarm, alarms, widgets
from tests.support.template import RESOURCES, ROOT, TEMPLATE, of_type, properties

FREE_DASHBOARD_METRICS = 50
ALARMS = alarms(TEMPLATE)
WIDGETS = widgets(TEMPLATE)
QUEUES = of_type("AWS::SQS::Queue")
DLQS = [name for name in QUEUES if name.endswith("Dlq")]
FUNCTIONS = of_type("AWS::Serverless::Function")
DEPTH = "ApproximateNumberOfMessagesVisible"
AGE = "ApproximateAgeOfOldestMessage"
TELL = [
    {"If": ["TellByEmail", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]},
    {"If": ["TellTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]},
]
CLOUDWATCH = {"Service": "cloudwatch.amazonaws.com"}
THIS_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def watching(metric: str, of: str) -> list[Alarm]:
    return [one for one in ALARMS.values() if (one.metric.name, one.metric.of) == (metric, of)]


# --- alarms -------------------------------------------------------------------------------


def test_the_docs_say_how_many_alarms_there_are() -> None:
    always = [name for name in ALARMS if "Condition" not in RESOURCES[name]]
    assert (len(always), len(ALARMS)) == (21, 23)
    assert "21 alarms that\nreport" in (ROOT / "README.md").read_text()
    assert "21 alarms (23 for a bucket that existed" in (ROOT / "docs/operations.md").read_text()


@pytest.mark.parametrize("dlq", DLQS)
def test_one_message_in_a_dead_letter_queue_is_an_alarm(dlq: str) -> None:
    (alarm,) = watching(DEPTH, dlq)
    assert (alarm.metric.stat, alarm.threshold) == ("Maximum", 0)


@pytest.mark.parametrize("queue", ["UploadQueue", "SlowUploadQueue", "MergeQueue"])
def test_a_queue_that_users_wait_for_must_not_stand_still(queue: str) -> None:
    (alarm,) = watching(AGE, queue)
    longest_debounce = TEMPLATE["Parameters"]["DebounceSeconds"]["MaxValue"]
    assert alarm.threshold >= longest_debounce + 2 * properties("MergeFunction")["Timeout"]


@pytest.mark.parametrize(
    ("metric", "of"),
    [
        ("MergeFailures", "merge"),
        ("WrongState", "sluice"),
        *(("Throttles", function) for function in FUNCTIONS),
        *(("Errors", function) for function in FUNCTIONS),
        ("IndexLag", "merge"),
        ("PackagesRejected", "merge"),
        ("ReconcileFailures", "reconcile"),
        ("RemovalsWaiting", "reconcile"),
        ("ReconcileFinished", "reconcile"),
        ("RepeatedRepairs", "reconcile"),
        ("FailedInvocations", "UploadRule"),
    ],
)
def test_what_goes_wrong_behind_the_queues_is_an_alarm(metric: str, of: str) -> None:
    assert len(watching(metric, of)) == 1


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("MergeFailuresAlarm", "MergeQueue"),
        ("MergeErrorsAlarm", "MergeQueue"),
        ("ExtractErrorsAlarm", "UploadQueue"),
    ],
)
def test_a_message_that_keeps_failing_shows_in_every_period(name: str, queue: str) -> None:
    # Tried again after 300 s at most where it failed, and after the visibility where it was killed.
    assert properties(name)["Period"] >= properties(queue)["VisibilityTimeout"]
    assert properties(name)["EvaluationPeriods"] == 2


def test_the_lag_alarm_is_silent_for_as_long_as_a_debounce_may_take() -> None:
    (alarm,) = watching("IndexLag", "merge")
    assert alarm.metric.stat == "p95"
    assert alarm.threshold == 2 * 1000 * TEMPLATE["Parameters"]["DebounceSeconds"]["MaxValue"]


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_to_do_and_tells_whoever_wants_it(name: str) -> None:
    found = properties(name)
    assert len(found["AlarmDescription"]) > 60
    assert found["AlarmActions"] == TELL


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_is_silent_without_data_but_for_the_one_that_misses_something(name: str) -> None:
    found = properties(name)
    if name == "ReconcileMissingAlarm":
        only_where_it_should_come = {"If": ["WatchReconcile", "breaching", "notBreaching"]}
        assert found["TreatMissingData"] == only_where_it_should_come
        assert found["ComparisonOperator"] == "LessThanThreshold"
    else:
        assert found["TreatMissingData"] == "notBreaching"
        assert found["ComparisonOperator"] == "GreaterThanThreshold"


def test_the_end_of_a_state_is_told_and_of_an_event_there_is_none() -> None:
    events = {name for name in ALARMS if "OKActions" not in properties(name)}
    assert events == {
        "PackagesRejectedAlarm",
        "ReconcileFailuresAlarm",
        "ReconcileErrorsAlarm",
        "RemovalsWaitingAlarm",
        "RepeatedRepairsAlarm",
        "UploadRuleAlarm",
    }
    assert {json.dumps(properties(name)["OKActions"]) for name in ALARMS if name not in events} == {
        json.dumps(TELL)
    }


# --- who is told --------------------------------------------------------------------------


def test_nothing_is_made_to_tell_anybody_unless_an_address_is_given() -> None:
    for name in ("AlarmKey", "AlarmTopic", "AlarmTopicPolicy"):
        assert RESOURCES[name]["Condition"] == "TellByEmail"
    (subscription,) = properties("AlarmTopic")["Subscription"]
    assert subscription == {"Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}


def test_only_cloudwatch_of_this_account_is_let_in_to_topic_and_key() -> None:
    allowed = [
        one
        for one in properties("AlarmTopicPolicy")["PolicyDocument"]["Statement"]
        if one["Effect"] == "Allow"
    ]
    (publish,) = allowed
    assert (publish["Principal"], publish["Action"]) == (CLOUDWATCH, "sns:Publish")
    assert publish["Condition"] == THIS_ACCOUNT
    # CloudWatch cannot use the key of SNS itself, alias/aws/sns.
    assert properties("AlarmTopic")["KmsMasterKeyId"] == {"Ref": "AlarmKey"}
    owner, use = properties("AlarmKey")["KeyPolicy"]["Statement"]
    assert owner["Principal"] == {
        "AWS": {"Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
    }
    assert (use["Principal"], use["Condition"]) == (CLOUDWATCH, THIS_ACCOUNT)
    assert use["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]


@pytest.mark.parametrize(
    ("parameter", "text", "valid"),
    [
        ("AlarmEmail", "", True),
        ("AlarmEmail", "ops@example.com", True),
        ("AlarmEmail", "ops", False),
        ("AlarmTopicArn", "", True),
        ("AlarmTopicArn", "arn:aws-cn:sns:cn-north-1:123456789012:ops_2-x", True),
        ("AlarmTopicArn", "ops", False),
        ("AlarmTopicArn", "arn:aws:sqs:eu-central-1:123456789012:ops", False),
    ],
)
def test_an_address_or_a_topic_is_told_from_something_else(
    parameter: str, text: str, *, valid: bool
) -> None:
    pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"]
    assert (re.fullmatch(pattern, text) is not None) == valid


# --- dashboard ----------------------------------------------------------------------------


def test_the_dashboard_shows_every_alarm_queue_and_function() -> None:
    (shown,) = (one.properties["alarms"] for one in WIDGETS if one.kind == "alarm")
    assert sorted(shown) == sorted(ALARMS)
    seen = {(metric.name, metric.of) for widget in WIDGETS for metric in widget.metrics}
    assert seen >= {(DEPTH, dlq) for dlq in DLQS}
    assert seen >= {(AGE, queue) for queue in QUEUES if queue not in DLQS}
    assert seen >= set(product(("Errors", "Duration", "ConcurrentExecutions"), FUNCTIONS))


def test_whatever_an_alarm_watches_can_be_seen_on_the_dashboard() -> None:
    seen = {(metric.name, metric.of) for widget in WIDGETS for metric in widget.metrics}
    assert {(alarm.metric.name, alarm.metric.of) for alarm in ALARMS.values()} <= seen


def test_the_dashboard_has_no_more_metrics_than_are_free() -> None:
    assert sum(len(widget.metrics) for widget in WIDGETS) <= FREE_DASHBOARD_METRICS


def test_widgets_lie_beside_each_other_in_24_columns() -> None:
    cells: dict[int, set[tuple[int, int]]] = {
        number: set(product(range(one.x, one.x + one.width), range(one.y, one.y + one.height)))
        for number, one in enumerate(WIDGETS)
    }
    assert not [pair for pair in combinations(cells, 2) if cells[pair[0]] & cells[pair[1]]]
    rows = max(one.y + one.height for one in WIDGETS)
    assert set().union(*cells.values()) == set(product(range(24), range(rows)))


def test_the_line_in_the_graph_of_ages_is_where_the_alarms_are() -> None:
    lines = {
        level["value"]
        for widget in WIDGETS
        for level in widget.properties.get("annotations", {}).get("horizontal", ())
    }
    assert lines == {one.threshold for one in ALARMS.values() if one.metric.name == AGE}


def test_metrics_of_aws_are_those_of_queues_and_functions_of_this_stack() -> None:
    named: list[Any] = [metric for widget in WIDGETS for metric in widget.metrics]
    named += [alarm.metric for alarm in ALARMS.values()]
    found = {
        (one.namespace, one.dimension, one.of) for one in named if "/sluice" not in one.namespace
    }
    assert found <= {
        *(("AWS/SQS", "QueueName", queue) for queue in QUEUES),
        *(("AWS/Lambda", "FunctionName", function) for function in FUNCTIONS),
        ("AWS/Events", "RuleName", "UploadRule"),
    }


def test_two_stacks_have_metrics_and_dashboards_of_their_own() -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    own = {"Sub": "Sluice/${AWS::StackName}"}
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == own
    custom = [name for name in ALARMS if not str(properties(name)["Namespace"]).startswith("AWS/")]
    assert {properties(name)["Namespace"]["Sub"] for name in custom} == {own["Sub"]}
    # Dashboards of all regions share their names.
    name = properties("Dashboard")["DashboardName"]["Sub"]
    assert {"${AWS::StackName}", "${AWS::Region}"} <= set(re.findall(r"\$\{[^}]+\}", name))
