"""Results are kept raw, case by case, and rendered from what is kept."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from math import log2
from pathlib import Path

import pytest

from benchmarks import plots, report, results
from benchmarks.cases import Case, Sample, Work
from benchmarks.published import INDEX_FILES
from benchmarks.results import Conditions, Results
from testkit.counts import Count

OLD = Conditions("2026-01-01", "abc", "a machine", 0.1, "Linux", {"boto3": "1"}, "make bench")
NEW = replace(OLD, date="2026-01-02")
CASE = Case("upload", 1000, 15.0, "sluice", "cold")
THEIRS = replace(CASE, subject="rattler-index")


def sample(wall_s: float = 1.0, requests: int = 20) -> Sample:
    return Sample(
        works={
            "extract": Work(1, wall_s / 4, 0.1, 90.0, wall_s / 4),
            "merge": Work(1, wall_s / 2, 0.2, 120.0, wall_s / 2),
        },
        init_s=0.5,
        requests={"s3:PutObject": Count(requests, 2048, 0), "sqs:SendMessage": Count(1)},
        published=dict.fromkeys(INDEX_FILES, 1024),
        visible_s=dict.fromkeys(INDEX_FILES, wall_s),
        facts={"packages": 1000, "names": 56},
    )


def filled() -> Results:
    kept = Results()
    for packages in (1000, 10_000):
        for case in (CASE, THEIRS):
            kept.take(replace(case, packages=packages), NEW, [sample(4.0), sample(8.0)])
    for operation in ("burst", "import", "removal"):
        kept.take(replace(CASE, operation=operation), NEW, [sample()])
    return kept


def test_a_sample_adds_up_its_processes_and_counts_s3_alone() -> None:
    made = sample(wall_s=4.0)
    assert (made.wall_s, made.peak_mib) == (3.0, 120.0)
    assert made.cpu_s == pytest.approx(0.3)
    assert made.s3 == Count(20, 2048, 0)


def test_a_case_that_is_measured_again_takes_the_place_of_what_was() -> None:
    kept = Results()
    kept.take(CASE, OLD, [sample(1.0)])
    kept.take(THEIRS, OLD, [sample(2.0)])
    kept.take(CASE, NEW, [sample(3.0)])
    assert [(one.case, one.run, one.samples) for one in kept.cases] == [
        (THEIRS, OLD.date, [sample(2.0)]),
        (CASE, NEW.date, [sample(3.0)]),
    ]
    assert [*kept.runs] == [OLD.date, NEW.date]


def test_a_run_of_which_nothing_is_left_is_forgotten() -> None:
    kept = Results()
    kept.take(CASE, OLD, [sample()])
    kept.take(CASE, NEW, [sample()])
    assert kept.runs == {NEW.date: NEW}


def test_what_is_kept_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert results.read(path) == Results()
    results.write(path, filled())
    assert results.read(path) == filled()
    assert [one.name for one in tmp_path.iterdir()] == ["results.json"]


def test_results_of_a_later_format_are_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.write(path, Results(format=2))
    with pytest.raises(RuntimeError, match=r"results\.json is of format 2"):
        results.read(path)


def test_tables_hold_medians_with_the_range_behind() -> None:
    lines = report.document(filled()).splitlines()
    ours = [line for line in lines if line.startswith("| upload") and "sluice, cold" in line]
    cells = [cell.strip() for cell in ours[0].split("|")[1:-1]]
    assert cells == [
        *("upload", "1,000", "15 ms", "sluice, cold", "4.50 (3.00 to 6.00)", "0.30", "20"),
        *("0.00", "0.00", "90 / 120", "0.50"),
    ]


def test_what_lambda_would_have_stopped_is_called_too_long() -> None:
    kept = Results()
    kept.take(replace(CASE, operation="take-over"), NEW, [sample(wall_s=601.0)])
    assert "| 450.75, too long |" in report.document(kept)
    kept.take(replace(CASE, operation="take-over"), NEW, [sample(wall_s=599.0)])
    assert "too long" not in report.document(kept)


def test_only_what_was_measured_has_a_table() -> None:
    titles = [line for line in report.document(filled()).splitlines() if line.startswith("## ")]
    assert titles == [
        "## One upload",
        "## How much less",
        "## Visible after",
        "## The handlers by themselves",
        "## Other changes",
        "## A burst of a thousand",
        "## First import",
        "## Requests by operation",
        "## Published files",
        "## Against the size of the channel",
        "## Measured",
    ]


def test_a_burst_is_told_by_the_package() -> None:
    document = report.document(filled())
    _, _, burst = document.partition("## A burst of a thousand")
    row = burst.splitlines()[4]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells == [
        "1,000",
        "sluice",
        "1,000",
        "56",
        "0.75",
        "0.30",
        "100.00",
        "1",
        "0.02",
        "90 / 120",
    ]


def test_the_same_results_are_the_same_pictures(tmp_path: Path) -> None:
    drawn = [list(plots.draw(filled(), tmp_path / name)) for name in ("one", "two")]
    one, two = ([path.read_bytes() for path in paths] for paths in drawn)
    assert one == two


def test_each_operation_that_was_measured_has_its_pictures_in_the_report(tmp_path: Path) -> None:
    names = [path.name for path in plots.draw(filled(), tmp_path)]
    assert names == [
        f"{operation}-{quantity}.svg"
        for operation in ("upload", "removal")
        for quantity in ("wall", "requests", "memory")
    ]
    document = report.document(filled())
    assert [name for name in names if f"../docs/benchmarks/{name}" in document] == names


def test_a_picture_holds_medians_on_logarithmic_axes() -> None:
    upload = plots.FIGURES[0]
    drawn = plots.picture(upload, plots.QUANTITIES[0], upload.measured(filled()))
    picture = ET.fromstring(drawn)  # noqa: S314 - drawn here
    texts = {text.text: float(text.get("y", 0)) for text in picture.iterfind("{*}text")}
    assert {"1,000", "10,000", "sluice, cold", "rattler-index"} <= texts.keys()
    # The samples take 3 and 6 seconds: their median is drawn at 4.5.
    (height,) = {float(circle.get("cy", 0)) for circle in picture.iterfind("{*}circle")}
    octave, baseline = texts["3"] - texts["6"], 4
    assert height == pytest.approx(texts["3"] - baseline - octave * log2(4.5 / 3), abs=0.2)


def test_without_results_there_are_no_pictures_and_no_tables(tmp_path: Path) -> None:
    assert list(plots.draw(Results(), tmp_path)) == []
    assert "|" not in report.document(Results())
