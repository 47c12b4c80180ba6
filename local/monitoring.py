"""The dashboard and the alarms as the template defines them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ALARM = "AWS::CloudWatch::Alarm"
_PSEUDO = {"AWS::StackName": "sluice", "AWS::Region": "eu-central-1"}
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z:]+)(?:\.[A-Za-z]+)?\}")


@dataclass(frozen=True, slots=True)
class Metric:
    """One line, or one number, of a widget; or what an alarm watches."""

    namespace: str
    name: str
    dimension: str
    of: str
    """The dimension's value: the logical id of a function or a queue, or the name of a service."""
    stat: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that compares one metric with a threshold."""

    metric: Metric
    threshold: float


@dataclass(frozen=True, slots=True)
class Widget:
    """A rectangle of the dashboard's grid of 24 columns."""

    kind: str
    x: int
    y: int
    width: int
    height: int
    properties: Mapping[str, Any]

    @property
    def metrics(self) -> list[Metric]:
        """What it shows."""
        found = []
        for namespace, name, dimension, of, options in self.properties.get("metrics", ()):
            stat = options.get("stat") or self.properties["stat"]
            found.append(Metric(namespace, name, dimension, of, stat))
        return found


def widgets(template: Mapping[str, Any]) -> list[Widget]:
    """Every widget, logical ids standing for what CloudFormation would put there."""
    body, variables = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Sub"]
    # All that there can be: each variable stands for something that has a condition.
    values = {name: _text(value["If"][1]) for name, value in variables.items()}
    return [
        Widget(one["type"], one["x"], one["y"], one["width"], one["height"], one["properties"])
        for one in json.loads(_filled(body, values))["widgets"]
    ]


def alarms(template: Mapping[str, Any]) -> dict[str, Alarm]:
    """Every alarm, by its logical id."""
    return {
        name: _alarm(resource["Properties"])
        for name, resource in template["Resources"].items()
        if resource["Type"] == _ALARM
    }


def _alarm(properties: Mapping[str, Any]) -> Alarm:
    (dimension,) = properties["Dimensions"]
    metric = Metric(
        namespace=_text(properties["Namespace"]),
        name=properties["MetricName"],
        dimension=dimension["Name"],
        of=_text(dimension["Value"]),
        stat=properties.get("Statistic") or properties["ExtendedStatistic"],
    )
    return Alarm(metric, properties["Threshold"])


def _text(value: str | Mapping[str, str]) -> str:
    match value:
        case {"Sub": text}:
            return _filled(text)
        case {"Ref": name}:
            return name
        case {"GetAtt": attribute}:
            return attribute.partition(".")[0]
    return str(value)


def _filled(text: str, values: Mapping[str, str] = _PSEUDO) -> str:
    known = {**_PSEUDO, **values}
    return _PLACEHOLDER.sub(lambda match: known.get(match[1], match[1]), text)
