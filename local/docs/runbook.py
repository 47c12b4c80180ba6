"""The runbook: what each alarm means and what to do, as a page in Markdown.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from local.docs.alarm_advice import ADVICE, Advice, Severity
from local.docs.reference import MADE, Template, prose, required_parameter

_HEAD = f"""\
# Runbook
{MADE}
For the on-call engineer of a stack: find the alarm, run its first command, and do what its section
says. Without an alarm, start from the symptom: [Troubleshooting](troubleshooting.md). What sluice
retries by itself is in [Operating sluice](../operations.md#when-something-fails), and metrics and
thresholds are in [the reference](../reference/stack.md#alarms).

The commands need version 2 of the AWS CLI and the
[sluice command line](install.md#the-command-line), which takes the stack from a variable:

```console
$ export SLUICE_STACK=my-channels
```

`my-channels` is the stack, and `s3://my-bucket/team` a channel. Names in capitals are
[outputs of the stack](../reference/stack.md#outputs), such as the URL of a queue.

## First command by alarm

The most severe alarms come first. The name of an alarm in CloudWatch contains the name here.

| alarm | | first command |
|---|---|---|
"""


def runbook(template: Template) -> str:
    """The page; raises ``KeyError`` if an alarm of the template has no advice."""
    by_severity = {severity: _alarms_of(severity, template) for severity in Severity}
    text = _HEAD
    for severity, names in by_severity.items():
        text += "".join(_row(name, ADVICE[name], severity) for name in names)
    for severity, names in by_severity.items():
        text += f"\n## {severity.title}\n\n{severity.meaning}\n"
        text += "".join(_section(name, ADVICE[name], template["Resources"][name]) for name in names)
    return text


def _alarms_of(severity: Severity, template: Template) -> list[str]:
    """The alarms of the template with this severity, in the order of the advice."""
    order = list(ADVICE)
    names = (
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm" and ADVICE[name].severity is severity
    )
    return sorted(names, key=order.index)


def _row(name: str, advice: Advice, severity: Severity) -> str:
    return f"| [{name}](#{name.lower()}) | {severity.title} | `{advice.first}` |\n"


def _section(name: str, advice: Advice, resource: Mapping[str, Any]) -> str:
    properties = resource["Properties"]
    parameter = required_parameter(resource)
    exists = f" This alarm exists only with `{parameter}`." if parameter else ""
    return (
        f"\n### {name}\n\n"
        f"{prose(properties['AlarmDescription'])}{exists}\n\n"
        f"```console\n$ {advice.first}\n```\n\n"
        f"**Check:**\n\n{_bullets(advice.check)}\n"
        f"**Fix:**\n\n{_bullets(advice.fix)}\n"
        f"**Resolved when** {advice.resolved} {_notification(properties)}\n"
    )


def _bullets(texts: Sequence[str]) -> str:
    return "".join(f"- {text}\n" for text in texts)


def _notification(properties: Mapping[str, Any]) -> str:
    """What CloudWatch sends when the alarm ends."""
    if "OKActions" in properties:
        return "CloudWatch then notifies you of the state OK."
    return "CloudWatch does not notify you of the end of this alarm."
