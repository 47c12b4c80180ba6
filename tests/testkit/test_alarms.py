"""The evaluator of alarms gives the states that CloudWatch's own documentation gives.

The tables are those of "How alarm state is evaluated when data is missing":
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

from typing import Any

import pytest

from testkit.alarms import AlarmRule, State, alarm_states

OK, ALARM, INSUFFICIENT = State
RETAINED = None
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
VALUES = {"0": 0.0, "X": 2.0, "-": None}


def properties(**changed: Any) -> dict[str, Any]:
    return {
        "Period": 300,
        "EvaluationPeriods": 3,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 1,
        "TreatMissingData": "notBreaching",
        **changed,
    }


def states(points: str, **changed: Any) -> list[State]:
    rule = AlarmRule.from_properties(properties(**changed))
    return alarm_states(rule, [VALUES[one] for one in points.split()])


@pytest.mark.parametrize(
    ("m", "points", "expected"),
    [
        (3, "0 - X - X", (OK, OK, OK, OK)),
        (3, "0 - - - -", (OK, OK, OK, OK)),
        (3, "- - - - -", (INSUFFICIENT, RETAINED, ALARM, OK)),
        (3, "0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
        (3, "- - X - -", (ALARM, RETAINED, ALARM, OK)),
        (2, "0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "0 - X - -", (OK, OK, ALARM, OK)),
        (2, "- - - - 0", (OK, OK, ALARM, OK)),
        (2, "- - - X -", (ALARM, RETAINED, ALARM, OK)),
    ],
)
def test_missing_data_is_treated_as_in_the_tables_of_aws(
    m: int, points: str, expected: tuple[State | None, ...]
) -> None:
    for treatment, state in zip(TREATMENTS, expected, strict=True):
        # What is older than the evaluation range brings the alarm into each state before.
        for past in ("0 0 0 0 0", "X X X X X"):
            alarm_states = states(
                f"{past} {points}", DatapointsToAlarm=m, TreatMissingData=treatment
            )
            assert alarm_states[-1] == (alarm_states[-2] if state is RETAINED else state), (
                treatment,
                past,
            )


@pytest.mark.parametrize("points", ["- - - - X", "- - - X -", "- - - X 0", "- - X - 0"])
def test_no_alarm_is_raised_too_soon(points: str) -> None:
    assert states(f"0 0 0 0 0 {points}", TreatMissingData="missing")[-1] is not ALARM


def test_the_last_point_keeps_an_alarm_silent_for_as_long_as_it_is_in_the_range() -> None:
    alarm_states = states("0 - - - - - -", TreatMissingData="breaching")
    # AWS, on "0 - - - -": the next time this alarm is evaluated it will go to ALARM.
    assert alarm_states == [OK, OK, OK, OK, OK, ALARM, ALARM]


@pytest.mark.parametrize(
    ("operator", "breaching"),
    [
        ("GreaterThanThreshold", [2.0]),
        ("GreaterThanOrEqualToThreshold", [1.0, 2.0]),
        ("LessThanThreshold", [0.0]),
        ("LessThanOrEqualToThreshold", [0.0, 1.0]),
    ],
)
def test_a_value_is_compared_as_the_alarm_says(operator: str, breaching: list[float]) -> None:
    rule = AlarmRule.from_properties(properties(ComparisonOperator=operator))
    assert [value for value in (0.0, 1.0, 2.0) if rule.breaches(value)] == breaching


@pytest.mark.parametrize(
    "refused",
    [
        {"Period": 45},
        {"Period": 300, "EvaluationPeriods": 289},
        {"Period": 3600, "EvaluationPeriods": 169},
        {"EvaluationPeriods": 0},
        {"DatapointsToAlarm": 4},
        {"ComparisonOperator": "EqualToThreshold"},
        {"TreatMissingData": "good"},
    ],
)
def test_what_cloudwatch_refuses_is_refused(refused: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"evaluat|unknown"):
        AlarmRule.from_properties(properties(**refused))
