"""The pages of the documentation that are made from the source."""

from __future__ import annotations

import re

import pytest

from local.docs.__main__ import DOCS, pages
from local.docs.alarm_advice import ADVICE, Severity
from local.docs.reference import METRICS
from local.monitoring import alarms
from sluice.telemetry import SHARED
from tests.support.template import ROOT, TEMPLATE, properties


@pytest.mark.parametrize("name", pages())
def test_a_page_that_is_made_from_the_source_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == pages()[name], "make reference"


def test_the_reference_has_every_metric_that_a_function_sends() -> None:
    core = ROOT / "layers" / "sluice" / "sluice"
    sources = {
        path.parent.name: path.read_text() + (core / path.parent.name / "metrics.py").read_text()
        for path in ROOT.glob("functions/*/app.py")
    }
    sent = {
        (name, service)
        for service, text in sources.items()
        for name in re.findall(
            r'(?:add_metric\(|Metric\(|^        )"([A-Z][A-Za-z]+)"[,:]', text, re.MULTILINE
        )
    }
    # Those with a dimension of their own, because one alarm watches several functions.
    shared = {
        (name, SHARED["service"])
        for text in sources.values()
        for name in re.findall(r'single_metric\("([A-Za-z]+)", .*=SHARED\)', text)
    }
    assert shared
    assert sent | shared == {(name, service) for name, (service, _) in METRICS.items()}


def _runbook_sections() -> dict[str, str]:
    """The text about each alarm, by its name, in the order of the page."""
    parts = re.split(r"\n#{2,3} ", (DOCS / "how-to" / "runbook.md").read_text())
    sections = {name: text for name, _, text in (part.partition("\n") for part in parts)}
    return {name: text for name, text in sections.items() if name in alarms(TEMPLATE)}


def test_every_alarm_has_advice() -> None:
    assert set(ADVICE) == set(alarms(TEMPLATE))


def test_the_runbook_says_of_each_alarm_what_it_means_what_to_check_and_how_to_fix_it() -> None:
    sections = _runbook_sections()
    assert set(sections) == set(alarms(TEMPLATE))
    for name, text in sections.items():
        assert properties(name)["AlarmDescription"] in text
        assert f"```console\n$ {ADVICE[name].first}\n```" in text
        _, check, rest = re.split(r"\*\*(?:Check|Fix):\*\*", text)
        fix, _, resolved = rest.partition("**Resolved when** ")
        for steps in (check, fix):
            lines = steps.split("\n- ")[1:]
            assert lines, f"{name}: what is to be done?"
            assert all(len(line) > 15 for line in lines), name
        assert resolved.startswith(ADVICE[name].resolved)


def test_the_runbook_says_which_alarms_end_without_a_notification() -> None:
    for name, text in _runbook_sections().items():
        is_silent = "OKActions" not in properties(name)
        assert ("does not notify you of the end" in text) == is_silent, name


def test_the_runbook_searches_logs_for_what_is_logged() -> None:
    sources = [*ROOT.glob("functions/**/*.py"), *ROOT.glob("layers/sluice/sluice/**/*.py")]
    logged = "".join(path.read_text() for path in sources)
    of_lambda = {"Task timed out", "Runtime.OutOfMemory"}
    commands = [advice.first for advice in ADVICE.values() if advice.first.startswith("aws logs")]
    texts = {text for command in commands for text in re.findall(r'"([^"]+)"', command)}
    fields = {name for command in commands for name in re.findall(r"\$\.(\w+)", command)}
    assert texts > of_lambda
    assert [text for text in texts - of_lambda if text not in logged] == []
    assert fields <= METRICS.keys()


def test_the_runbook_begins_with_the_most_severe_alarms() -> None:
    order = list(Severity)
    page = (DOCS / "how-to" / "runbook.md").read_text()
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \|", page, re.MULTILINE)
    assert all(anchor == name.lower() for name, anchor in rows)
    for names in ([name for name, _ in rows], list(_runbook_sections())):
        assert set(names) == set(alarms(TEMPLATE))
        ranks = [order.index(ADVICE[name].severity) for name in names]
        assert ranks == sorted(ranks)
    assert [f"\n## {severity.title}\n" in page for severity in Severity] == [True] * len(order)


def test_the_reference_leads_from_each_alarm_to_the_runbook() -> None:
    page = (DOCS / "reference" / "stack.md").read_text()
    for name, alarm in alarms(TEMPLATE).items():
        (row,) = re.findall(rf"^\| \[{name}\]\(.*$", page, re.MULTILINE)
        assert f"(../how-to/runbook.md#{name.lower()})" in row
        assert f"`{alarm.metric.name}`" in row
        assert f"{alarm.threshold:,}" in row


def test_the_readme_names_parameters_with_their_defaults() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\|", readme, re.MULTILINE)
    parameters = {name: str(one["Default"]) for name, one in TEMPLATE["Parameters"].items()}
    assert len(rows) == 4
    assert [(name, default) for name, default in rows if parameters[name] != default] == []


def test_the_page_of_parameters_names_every_one() -> None:
    page = (DOCS / "reference" / "parameters.md").read_text()
    assert [name for name in TEMPLATE["Parameters"] if f"\n## {name}\n" not in page] == []
