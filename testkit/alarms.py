"""How CloudWatch evaluates an alarm on one metric, as a pure function of its data points.

The rules are those of "Configuring how CloudWatch alarms treat missing data" and "Evaluating an
alarm":
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html

At the end of each period CloudWatch takes the data points of the last ``EvaluationPeriods`` and of
some more before them, the evaluation range:

- If at least N of them are there, the N most recent of those decide, even where they are from
  before the last N periods.
- Otherwise all that are there count, and so many missing ones as are needed for N are taken for
  what ``TreatMissingData`` says.  ``ignore`` and ``missing`` say nothing; then the few that are
  there decide.
- The alarm is in ALARM if at least ``DatapointsToAlarm`` (by default N) of these N breach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import ge, gt, le, lt
from typing import Any

EXTRA_POINTS = 2
"""How many more points than N the range has.  AWS does not say; in the page's examples N is 3, and
5 are retrieved."""
_COMPARISONS = {
    "GreaterThanThreshold": gt,
    "GreaterThanOrEqualToThreshold": ge,
    "LessThanThreshold": lt,
    "LessThanOrEqualToThreshold": le,
}
_MISSING = ("breaching", "notBreaching", "ignore", "missing")
_EVALUATION_SECONDS_MAX = 7 * 24 * 3600
_ONE_DAY_SECONDS = 24 * 3600
_HOUR_SECONDS = 3600


class State(Enum):
    """The state of an alarm."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """What an alarm's properties say about its evaluation."""

    period_seconds: int
    evaluation_periods: int
    datapoints_to_alarm: int
    comparison: str
    threshold: float
    treat_missing: str

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> AlarmRule:
        """Read the properties of an ``AWS::CloudWatch::Alarm``, without intrinsic functions.

        Raises ``ValueError`` for what CloudWatch refuses.
        """
        periods = int(properties["EvaluationPeriods"])
        rule = cls(
            period_seconds=int(properties["Period"]),
            evaluation_periods=periods,
            datapoints_to_alarm=int(properties.get("DatapointsToAlarm", periods)),
            comparison=properties["ComparisonOperator"],
            threshold=float(properties["Threshold"]),
            treat_missing=properties.get("TreatMissingData", "missing"),
        )
        rule._check()
        return rule

    def _check(self) -> None:
        # PutMetricAlarm: a period of less than an hour looks back for a day at most, others for
        # seven; a period is a multiple of a minute (10, 20 and 30 s are for other metrics).
        window = self.period_seconds * self.evaluation_periods
        longest = _ONE_DAY_SECONDS
        if self.period_seconds >= _HOUR_SECONDS:
            longest = _EVALUATION_SECONDS_MAX
        if self.period_seconds <= 0 or self.period_seconds % 60 or not 0 < window <= longest:
            raise ValueError(f"CloudWatch does not evaluate {window} s in periods of {self}")
        if not 0 < self.datapoints_to_alarm <= self.evaluation_periods:
            raise ValueError(f"more data points than evaluation periods: {self}")
        if self.comparison not in _COMPARISONS or self.treat_missing not in _MISSING:
            raise ValueError(f"an unknown comparison, or treatment of missing data: {self}")

    def breaches(self, value: float) -> bool:
        """Whether a data point breaches the threshold."""
        return bool(_COMPARISONS[self.comparison](value, self.threshold))


def alarm_states(rule: AlarmRule, points: Sequence[float | None]) -> list[State]:
    """The state of an alarm after each period; ``None`` is a period without a data point.

    ``points``: the value of the alarm's statistic in each period, the oldest first.  Before the
    first there was no data.
    """
    return list(_states(rule, points))


def _states(rule: AlarmRule, points: Sequence[float | None]) -> Iterator[State]:
    state = State.INSUFFICIENT_DATA
    for now in range(1, len(points) + 1):
        reach = rule.evaluation_periods + EXTRA_POINTS
        state = _evaluate(rule, points[max(0, now - reach) : now], before=state)
        yield state


def _evaluate(rule: AlarmRule, points: Sequence[float | None], *, before: State) -> State:
    """The state by an evaluation range; the state ``before`` where nothing decides."""
    ages = range(len(points), 0, -1)
    there = [
        (age, rule.breaches(value))
        for age, value in zip(ages, points, strict=True)
        if value is not None
    ][-rule.evaluation_periods :]
    filled = rule.evaluation_periods - len(there)
    breaching = sum(breaches for _, breaches in there)
    if filled and rule.treat_missing in ("missing", "ignore"):
        return _by_few(rule, there, before=before)
    if rule.treat_missing == "breaching":
        breaching += filled
    return State.ALARM if breaching >= rule.datapoints_to_alarm else State.OK


def _by_few(rule: AlarmRule, there: Sequence[tuple[int, bool]], *, before: State) -> State:
    """The state by less than N points and nothing for the missing ones.

    ``there``: the age of each, in periods, and whether it breaches.  Where all that are there
    breach, the oldest decides ("Avoiding premature transitions to alarm state").
    """
    keeps = rule.treat_missing == "ignore"
    if not there:
        return before if keeps else State.INSUFFICIENT_DATA
    if all(breaches for _, breaches in there):
        is_old = there[0][0] >= rule.datapoints_to_alarm
        return State.ALARM if is_old and not keeps else before
    breaching = sum(breaches for _, breaches in there)
    return State.ALARM if breaching >= rule.datapoints_to_alarm else State.OK
