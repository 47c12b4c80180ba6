"""The pages of the reference that are made from the source."""

from __future__ import annotations

import re

import pytest

from local.docs.__main__ import REFERENCE, pages
from local.docs.alarm_advice import ADVICE
from local.docs.reference import METRICS
from local.monitoring import alarms
from sluice.telemetry import SHARED
from tests.support.template import ROOT, TEMPLATE, properties


@pytest.mark.parametrize("name", pages())
def test_a_page_that_is_made_from_the_source_is_up_to_date(name: str) -> None:
    assert (REFERENCE / name).read_text() == pages()[name], "make reference"


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


def test_every_alarm_has_a_section_that_says_what_to_do() -> None:
    page = (REFERENCE / "stack.md").read_text()
    parts = page.partition("\n## Metrics")[0].split("\n### ")
    sections = {name: text for name, _, text in (part.partition("\n") for part in parts)}
    for name in alarms(TEMPLATE):
        described = properties(name)["AlarmDescription"]
        assert described in sections[name]
        steps = [line for line in sections[name].splitlines() if line.startswith("- ")]
        assert steps, f"{name}: what is to be done?"
        assert all(len(step) > 40 for step in steps)
    assert set(ADVICE) == set(alarms(TEMPLATE))


def test_the_readme_names_parameters_with_their_defaults() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\|", readme, re.MULTILINE)
    parameters = {name: str(one["Default"]) for name, one in TEMPLATE["Parameters"].items()}
    assert len(rows) == 4
    assert [(name, default) for name, default in rows if parameters[name] != default] == []


def test_the_page_of_parameters_names_every_one() -> None:
    page = (REFERENCE / "parameters.md").read_text()
    assert [name for name in TEMPLATE["Parameters"] if f"`{name}`" not in page] == []
