"""The numbers of the README and the documentation are those that were measured."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import pytest

from benchmarks import installable, page_tables, results
from benchmarks.cases import SLUICE, TYPICAL_LATENCY_MS, Case
from testkit.child_process import ROOT

KEPT = results.read(results.PATH)
FREE_ALARMS, USD_PER_ALARM = 10, 0.10
"""Of CloudWatch, in each account and month; see docs/cost.md."""
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", page_tables.PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_results(page: Path) -> None:
    text = page.read_text()
    assert text == page_tables.with_tables(text, KEPT), "run make bench-report"


def test_each_table_is_on_a_page() -> None:
    names = [name for page in page_tables.PAGES for name in page_tables.names_on(page)]
    assert sorted(names) == sorted(page_tables.TABLES)


def test_another_number_on_a_page_is_replaced() -> None:
    text = "a\n<!-- speed-and-cost: written by make bench-report -->\n| 1 |\n<!-- end -->\nb\n"
    written = page_tables.with_tables(text, KEPT)
    assert "| 1 |" not in written
    assert page_tables.speed_and_cost(KEPT) in written
    assert (written[:2], written[-3:]) == ("a\n", "\nb\n")


def test_the_readme_says_how_many_requests_an_upload_takes() -> None:
    ((least, most, *same),) = re.findall(
        r"takes (\d+) to (\d+) S3 requests: (\d+) into 1,000 packages, (\d+) into 500,000", README
    )
    assert same == [least, most]
    requests = [
        median(sample.s3.requests for sample in KEPT.samples(case))
        for packages in (1_000, 10_000, 100_000, 500_000)
        if KEPT.samples(case := Case("upload", packages, TYPICAL_LATENCY_MS, SLUICE, "cold"))
    ]
    assert (min(requests), max(requests)) == (int(least), int(most))


def test_the_readme_says_how_long_an_upload_takes_on_the_local_stack() -> None:
    assert "can be installed [within a\nsecond]" in README
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in installable.RESULTS.read_text().splitlines()
        if line.startswith("| one upload, warm ")
    ]
    ((_, _, *seconds, _),) = rows
    assert all(float(value.removesuffix(" s")) <= 1.0 for value in seconds)


def test_the_readme_says_what_an_idle_stack_costs() -> None:
    (polling,) = re.findall(r"idle polling +\| \$([\d.]+)", (ROOT / "docs" / "cost.md").read_text())
    (alarms,) = re.findall(r"has (\d+) alarms", README)
    charged = max(0, int(alarms) - FREE_ALARMS) * USD_PER_ALARM
    (said,) = re.findall(r"about \$([\d.]+) a month", README)
    assert float(polling) + charged == pytest.approx(float(said), abs=0.05)
