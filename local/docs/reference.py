"""What the template says, as pages of the reference, in Markdown.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.monitoring import Alarm, alarms

Template = Mapping[str, Any]

METRICS = {
    "StagedRecords": ("extract", "packages, removals and rejects staged"),
    "MisplacedUploads": (
        "extract",
        "uploads that have the suffix of a package, but a key that cannot be indexed",
    ),
    "ExtractFailures": ("extract", "uploads that will be tried again"),
    "PackagesIndexed": ("merge", "packages that are new in an index, or another file than before"),
    "PackagesRemoved": ("merge", "packages that have left an index"),
    "PackagesRejected": ("merge", "packages, configurations and patches that cannot be used"),
    "TimestampWarnings": ("merge", "packages built later than they were indexed (CEP 47)"),
    "ForeignIndexWrites": ("merge", "index files of somebody else that were overwritten"),
    "StagingSetAside": ("merge", "staging records that nobody could read, moved to `unreadable/`"),
    "MergeFailures": ("merge", "merges that will be tried again"),
    "MergeDuration": ("merge", "milliseconds of one merge"),
    "IndexLag": ("merge", "milliseconds from an upload to the index that has it"),
    "ReconcileRepairs": ("reconcile", "what was missing and has been asked for"),
    "ReconcileFinished": ("reconcile", "runs over all channels that have ended"),
    "RepeatedRepairs": ("reconcile", "repairs of such a run, if the one before had some as well"),
    "ReconcileFailures": ("reconcile", "subdirs, or steps, that failed"),
    "WrongState": ("sluice", "merges and subdirs of a catalog that belongs to another bucket"),
    "MisplacedFiles": (
        "reconcile",
        "objects that have the suffix of a package, but a key that cannot be indexed",
    ),
    "RemovalsWaiting": ("reconcile", "packages that are gone, and wait to leave their index"),
    "FalseDigests": ("reconcile", "packages rejected because their metadata states false digests"),
    "GarbageCollected": ("reconcile", "shards and catalog objects deleted"),
}
"""The service that sends each metric, and what it counts."""

MADE = """
<!-- Made by `make reference`; a test compares it with its source. -->
"""
"""What each page that is made says below its heading."""
_PARAMETERS = f"""\
# Template parameters
{MADE}
What `make deploy PARAMS="Key=Value …"`, or `sam deploy --parameter-overrides`, takes. This page
is made from [`template.yaml`](../../template.yaml).
"""
_STACK = f"""\
# Outputs, alarms, metrics
{MADE}
For operators who look up a name. This page is made from [`template.yaml`](../../template.yaml). How
alarms reach you is in [Operating sluice](../operations.md#alarms-and-dashboard).
"""
_OUTPUTS = """
## Outputs

`aws cloudformation describe-stacks --stack-name my-channels --query 'Stacks[0].Outputs'`

| output | |
|---|---|
"""
_ALARMS = """
## Alarms

What each alarm watches, and when it is raised. The link leads to its meaning and what to do.

| alarm | metric | raised when |
|---|---|---|
"""
_METRICS = """
## Metrics

In the namespace `Sluice/<stack>`, with the dimension `service`. Queues and functions have those of
AWS besides.

| metric | service | |
|---|---|---|
"""
_CONDITIONS = {
    "MakeCdn": "Cdn=cloudfront",
    "UseExistingChannelBucket": "ExistingChannelBucketName",
}
_COMPARISONS = {"GreaterThanThreshold": "above", "LessThanThreshold": "below"}


def parameters(template: Template) -> str:
    """Every parameter of the template: its default, what it takes, what it is for."""
    text = _PARAMETERS
    for name, one in template["Parameters"].items():
        text += f"\n## {name}\n\n{prose(one['Description'])}\n\n- Default: {_default(one)}\n"
        text += _takes(one)
    text += "\n## What goes together\n\n"
    for rule in template["Rules"].values():
        text += "".join(f"- {one['AssertDescription']}.\n" for one in rule["Assertions"])
    return text


def stack(template: Template) -> str:
    """Outputs, alarms and metrics."""
    text = _STACK + _OUTPUTS
    for name, one in template["Outputs"].items():
        text += f"| `{name}` | {prose(one['Description'])}{_suffix(one)} |\n"
    text += _ALARMS
    for name, alarm in alarms(template).items():
        text += _alarm_row(name, alarm, template["Resources"][name])
    text += _METRICS
    for name, (service, counted) in METRICS.items():
        text += f"| `{name}` | {service} | {counted} |\n"
    return text


def _alarm_row(name: str, alarm: Alarm, resource: Mapping[str, Any]) -> str:
    """The row of one alarm."""
    properties = resource["Properties"]
    compared = _COMPARISONS[properties["ComparisonOperator"]]
    return (
        f"| [{name}](../how-to/runbook.md#{name.lower()}) "
        f"| `{alarm.metric.name}` of {alarm.metric.of} "
        f"| {alarm.metric.stat} {compared} {alarm.threshold:,}, "
        f"in {_periods(properties)}{_suffix(resource)} |\n"
    )


def _periods(properties: Mapping[str, Any]) -> str:
    minutes = properties["Period"] // 60
    match properties["EvaluationPeriods"]:
        case {"If": [_, {"Ref": parameter}, _]}:
            return f"each of the last `{parameter}` periods of {minutes} min"
        case 1:
            return f"{minutes} min"
        case int(number):
            needed = properties.get("DatapointsToAlarm", number)
            return f"{needed} of {number} periods of {minutes} min"
    raise ValueError(f"periods that no page knows how to show: {properties}")


def required_parameter(described: Mapping[str, Any]) -> str | None:
    """The parameter that a part of the template depends on; ``None``: it always exists."""
    condition = described.get("Condition")
    return _CONDITIONS[condition] if condition else None


def _suffix(described: Mapping[str, Any]) -> str:
    parameter = required_parameter(described)
    return f" (with `{parameter}`)" if parameter else ""


def prose(text: str) -> str:
    """A description of the template, as Markdown."""
    return text.strip().replace("<", "&lt;")


def _default(parameter: Mapping[str, Any]) -> str:
    value = parameter["Default"]
    return "empty" if value == "" else f"`{value}`"


def _takes(parameter: Mapping[str, Any]) -> str:
    if allowed := parameter.get("AllowedValues"):
        return f"- One of {', '.join(f'`{one}`' for one in allowed)}\n"
    if "MinValue" in parameter:
        return f"- From {parameter['MinValue']:,} to {parameter['MaxValue']:,}\n"
    told = parameter.get("ConstraintDescription")
    return f"- It {told}\n" if told else ""
