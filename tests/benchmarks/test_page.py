"""What is measured of the page is measured, whatever the times are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import page as benchmark
from testkit import browser


@pytest.mark.skipif(
    not browser.find() and not browser.must_be_there(), reason="no Chromium is installed"
)
def test_every_row_of_the_report_has_its_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "results.md"
    command = ["page", "--names", "40", "--runs", "2", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", command)
    benchmark.main()
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in output.read_text().splitlines()
        if line.startswith("|")
    ]
    counts = {row[0]: int(row[4]) for row in cells if len(row) == 6 and row[4].isdecimal()}
    assert counts == {
        "First results": 2,
        "A search: the rows stand": 12,
        "A search: the next frame is painted": 12,
        "The builds of a package": 2,
        "First results at 10 Mbit/s, 40 ms": 3,
    }
