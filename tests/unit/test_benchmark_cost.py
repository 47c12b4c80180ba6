"""What AWS would charge for what was measured, against dollars that are worked out by hand."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import cost, metering, prices, results
from benchmarks.bill import Bill
from benchmarks.cases import Case, Sample
from benchmarks.conditions import Conditions
from benchmarks.cost_model import (
    SCENARIOS,
    STARTED_BY_A_BURST,
    Missing,
    Scenario,
    Size,
    expect,
    job_minutes,
    month,
    sizes,
)
from benchmarks.cost_page import page, usd
from benchmarks.counts import Count
from benchmarks.published import INDEX_FILES
from benchmarks.results import Results
from benchmarks.work import Work
from tests.support.template import TEMPLATE, properties

CONDITIONS = Conditions("2026-01-01", "abc", "a machine", 0.1, "Linux", {}, "make bench")
GIB = 2**30
GB_OF_MERGE = 1769 / 1024
COLD = Case("upload", 1000, 15.0, "sluice", "cold")
OURS = Sample(
    works={
        # It waits, so that having less than a CPU does not matter.
        "extract": Work(1, 0.1, 0.0, 90.0, 0.1),
        "merge": Work(1, 1.0, 0.5, 100.0, 1.0),
    },
    init_s=9.0,  # of the development environment: not used
    requests={
        "s3:PutObject": Count(9, GIB),
        "s3:UploadPart": Count(2, GIB // 2),
        "s3:ListObjectsV2": Count(1),
        "s3:GetObject": Count(5),
        "s3:HeadObject": Count(3),
        "s3:DeleteObjects": Count(1),
        "sqs:SendMessage": Count(1),
    },
    published=dict(zip(INDEX_FILES, (GIB // 4, GIB // 4, GIB // 2), strict=True)),
    facts={"packages": 1000},
)
THEIRS = Sample(
    works={"rattler-index": Work(1, 4.0, 3.0, 200.0, 4.0)},
    init_s=1.0,
    requests={"s3:PutObject": Count(500, GIB), "s3:GetObject": Count(100)},
    facts={"packages": 1000},
)
RECONCILE = Sample(
    works={"reconcile": Work(1, 1.5, 0.0, 90.0, 1.5)},
    init_s=9.0,
    requests={"s3:ListObjectsV2": Count(10), "s3:GetObject": Count(5)},
)
INIT_S = {"extract": 0.4, "merge": 0.6, "reconcile": 0.5}


def measured(*packages: int, reconciled: bool = True) -> Results:
    kept = Results()

    def take(operation: str, size: int, latency_ms: float, sample: Sample, kind: str) -> None:
        subject = "rattler-index" if sample is THEIRS else "sluice"
        kept.take(Case(operation, size, latency_ms, subject, kind), CONDITIONS, [sample])

    for size in packages:
        take("take-over", size, 0.0, OURS, "cold")
        take("upload", size, 15.0, OURS, "cold")
        take("upload", size, 15.0, OURS, "warm")
        take("upload", size, 15.0, THEIRS, "cold")
        take("burst", size, 0.0, OURS, "cold")
        take("burst", size, 0.0, THEIRS, "cold")
        if reconciled:
            take("reconcile", size, 15.0, RECONCILE, "cold")
    for name, init_s in INIT_S.items():
        started = Sample(works={}, init_s=init_s, requests={})
        take(f"cold-start-{name}", 1, 0.0, started, "cold")
    return kept


def all_measured() -> Results:
    return measured(*(scenario.packages for scenario in SCENARIOS))


@pytest.fixture(name="size")
def a_size() -> Size:
    return sizes(all_measured())[0]


# --- prices -------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [*prices.PRICES, *prices.ALLOWANCES], ids=str)
def test_every_price_has_a_source_and_a_date(price: prices.Price | prices.Allowance) -> None:
    assert price.source
    assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", price.read)


def test_every_price_that_there_is_is_on_the_list() -> None:
    named = {one for one in vars(prices).values() if isinstance(one, prices.Price)}
    assert named == set(prices.PRICES)


def test_what_is_given_away_is_taken_from_the_cheaper_queue_first() -> None:
    bill = Bill(
        {
            prices.SQS_STANDARD: 700_000,
            prices.SQS_FIFO: 1_300_000,
            prices.LAMBDA_REQUEST: 5,
            prices.LAMBDA_GB_S: 400_001,
            prices.S3_READ: 1000,
        }
    )
    # A million FIFO requests are left, a GB-second, and what S3 charges.
    assert bill.after_allowances().usd() == pytest.approx(0.50 + 0.0000133334 + 0.0004)


# --- quantities ---------------------------------------------------------------------------


def test_requests_are_charged_by_class_and_deleting_is_free() -> None:
    bill = metering.s3_requests(OURS.requests)
    assert bill == Bill({prices.S3_WRITE: 12, prices.S3_READ: 8, prices.S3_DELETE: 1})
    assert bill.usd() == pytest.approx(12 * 0.000005 + 8 * 0.0000004)


def test_a_request_of_an_unknown_class_is_an_error() -> None:
    with pytest.raises(ValueError, match="s3:PutBucketAcl"):
        metering.s3_requests({"s3:PutBucketAcl": Count(1)})


def test_an_upload_is_three_requests_to_each_kind_of_queue() -> None:
    assert metering.sqs_requests(OURS) == Bill({prices.SQS_STANDARD: 3, prices.SQS_FIFO: 3})


def test_cpu_time_takes_longer_on_less_than_a_cpu_and_waiting_does_not() -> None:
    waiting, busy = Work(1, 1.0, 0.0, 90.0, 1.0), Work(1, 1.0, 1.0, 90.0, 1.0)
    assert metering.gb_seconds("extract", waiting) == 1.0
    assert metering.gb_seconds("extract", busy) == pytest.approx(GB_OF_MERGE)
    assert metering.gb_seconds("merge", busy) == pytest.approx(GB_OF_MERGE)


def test_two_cores_are_not_counted_on() -> None:
    work = Work(1, 1.0, 1.5, 90.0, 1.0)
    assert metering.gb_seconds("merge", work) == pytest.approx(1.5 * GB_OF_MERGE)


def test_what_needs_more_memory_than_the_default_pays_for_more() -> None:
    work = Work(1, 1.0, 0.0, 1600.0, 1.0)
    assert metering.memory_mb("merge", work) == 2000
    assert metering.gb_seconds("merge", work) == 2000 / 1024


def test_old_versions_of_an_index_go_after_two_days_and_the_rest_later() -> None:
    # 1 GiB of index files, and half of one of everything else.
    months = metering.old_versions(OURS).of(prices.S3_STORAGE)
    assert months == pytest.approx((1.0 * 2 + 0.5 * 41) * 12 / 365)


# --- dollars ------------------------------------------------------------------------------


def test_an_upload_that_comes_alone_pays_for_a_merge_and_two_starts(size: Size) -> None:
    # 1 GB for 0.1 s and a start of 0.4 s, 1.73 GB for 1 s and a start of 0.6 s.
    gb_s = 0.5 + 1.6 * GB_OF_MERGE
    stored = (1.0 * 2 + 0.5 * 41) * 12 / 365
    usd = 0.00006 + 0.0000032 + 0.0000012 + 0.0000015 + 2 * 0.0000002
    assert size.cold.bill.of(prices.LAMBDA_GB_S) == pytest.approx(gb_s)
    assert size.cold.bill.usd() == pytest.approx(usd + gb_s * 0.0000133334 + stored * 0.023)
    warm = 0.1 + 1.0 * GB_OF_MERGE
    assert size.warm.bill.of(prices.LAMBDA_GB_S) == pytest.approx(warm)


def test_a_burst_is_divided_by_its_packages(size: Size) -> None:
    # Each has an extract; a thousand share fifty starts, one merge, and here all requests.
    shared = STARTED_BY_A_BURST * 0.4 + 1.6 * GB_OF_MERGE
    bill = size.burst.bill
    assert bill.of(prices.LAMBDA_GB_S) == pytest.approx(0.1 + shared / 1000)
    assert bill.of(prices.LAMBDA_REQUEST) == pytest.approx(1 + 1 / 1000)
    assert bill.usd(prices.S3_WRITE) == pytest.approx(12 * 0.000005 / 1000)


def test_rattler_index_pays_for_requests_and_for_compute_as_on_lambda(size: Size) -> None:
    usd = 500 * 0.000005 + 100 * 0.0000004 + 5 * GB_OF_MERGE * 0.0000133334
    assert size.theirs.bill.usd() == pytest.approx(usd)
    assert size.theirs_burst.bill.usd() == pytest.approx(usd / 1000)


def test_a_job_is_charged_in_minutes_that_have_begun() -> None:
    # Thirty seconds until it begins, and one of imports.
    def lasting(wall_s: float) -> Sample:
        return replace(THEIRS, works={"rattler-index": Work(1, wall_s, 0.0, 1.0, wall_s)})

    assert [job_minutes(lasting(wall_s)) for wall_s in (4, 29, 30, 89, 90)] == [1, 1, 2, 2, 3]


def test_a_month_is_uploads_storage_reconcile_and_polling(size: Size) -> None:
    made = month(Scenario("half in bursts", 1000, uploads=2000, in_bursts=0.5), size)
    uploads = 1000 * size.cold.bill.usd() + 1000 * size.burst.bill.usd()
    days = 365 / 12
    reconcile = days * (10 * 0.000005 + 5 * 0.0000004 + 0.0000002 + 2 * GB_OF_MERGE * 0.0000133334)
    polls = 5 * 3 * 60 * 24 * days
    polling = polls * 0.0000004 + 2 * polls * 0.0000005
    assert made.at_rest.usd() == pytest.approx(1.5 * 0.023)
    assert made.ours.usd() == pytest.approx(uploads + 1.5 * 0.023 + reconcile + polling)
    assert made.theirs.usd() == pytest.approx(2000 * size.theirs.bill.usd())
    assert made.theirs_minutes == 2000
    # One job for each that comes alone, and one for the burst.
    assert made.theirs_once_minutes == pytest.approx(1001)
    assert made.theirs_once.usd() == pytest.approx(1001 * size.theirs.bill.usd())


# --- what was not measured ----------------------------------------------------------------


def test_what_is_missing_is_named_with_the_command_that_measures_it() -> None:
    kept = all_measured()
    kept.cases = [
        one
        for one in kept.cases
        if one.case != replace(COLD, packages=500_000) and one.case.operation != "cold-start-merge"
    ]
    with pytest.raises(Missing) as caught:
        sizes(kept)
    assert str(caught.value).splitlines() == [
        "benchmarks/results.json does not hold all that costs are made of; measure",
        "  cold starts: make coldstart",
        (
            "  500,000 packages, upload (sluice, cold): "
            'make bench SIZES=500000 BENCH="--operations upload burst --large-mib 0"'
        ),
    ]


def test_the_command_line_fails_and_writes_nothing_where_something_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, written = tmp_path / "results.json", tmp_path / "cost.md"
    monkeypatch.setattr(sys, "argv", ["cost", "--results", f"{kept}", "--page", f"{written}"])
    assert cost.main() == 1
    assert "make bench SIZES=10000 " in capsys.readouterr().err
    assert not written.exists()
    results.write(kept, all_measured())
    assert cost.main() == 0
    assert written.read_text() == page(sizes(all_measured()))


def test_a_size_beside_the_scenarios_is_told_of_if_all_of_it_was_measured() -> None:
    known = [scenario.packages for scenario in SCENARIOS]
    kept = measured(*known, 100_000)
    kept.take(replace(COLD, packages=20_000), CONDITIONS, [OURS])
    assert [size.packages for size in sizes(kept)] == sorted([*known, 100_000])


def test_a_reconcile_that_was_not_measured_is_left_out_and_said_so() -> None:
    kept = measured(*(scenario.packages for scenario in SCENARIOS), reconciled=False)
    told = page(sizes(kept))
    assert re.search(r"\| reconcile, daily +\|( not measured +\|){3}\n", told)
    assert "Reconcile was not measured at the size of: small, medium" in told


def test_nothing_is_needed_of_no_size_but_cold_starts() -> None:
    with pytest.raises(Missing, match=r"measure\n  cold starts: make coldstart$"):
        expect(Results(), set())


# --- the page -----------------------------------------------------------------------------


def test_the_page_has_each_price_with_its_source() -> None:
    told = page(sizes(all_measured()))
    for price in prices.PRICES:
        row = rf"\| {re.escape(price.what)} +\| .+ \| {re.escape(price.source)} +\| {price.read}"
        assert re.search(row, told)
    assert "| $0.0000133334 / GB-second " in told
    assert "| $0.005 / 1,000 requests " in told
    assert "| $0.40 / 1,000,000 requests " in told


def test_dollars_have_as_many_digits_as_tell_something() -> None:
    told = [usd(amount) for amount in (0, 0.00001, 0.0345, 1, 1234.5)]
    assert told == ["$0", "< $0.0001", "$0.0345", "$1.00", "$1,234.50"]


def test_the_page_tells_a_thousand_uploads() -> None:
    told = page(sizes(all_measured()))
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in told.splitlines()
        if line.startswith("| 1,000") and "after each upload" in line
    ]
    assert rows[0] == [
        *("1,000", "rattler-index, after each upload", "$2.50", "$0.0400", "$0"),
        *("$0.1152", "$0", "**$2.66**", "1,769", "1,000"),
    ]


def test_what_lambda_would_stop_is_not_offered_as_a_price() -> None:
    slow = replace(OURS, works={**OURS.works, "merge": Work(1, 301.0, 1.0, 100.0, 301.0)})
    kept = all_measured()
    assert "too long" not in page(sizes(kept)).lower()
    kept.take(COLD, CONDITIONS, [slow])
    assert "| sluice, alone, cold, too long " in page(sizes(kept))


# --- what is said of the template ---------------------------------------------------------


def test_memory_and_concurrency_are_the_defaults_of_the_template() -> None:
    default = {name: one["Default"] for name, one in TEMPLATE["Parameters"].items()}
    assert {
        "extract": default["ExtractMemorySize"],
        "merge": default["MergeMemorySize"],
        "reconcile": default["MergeMemorySize"],
    } == metering.MEMORY_MB
    assert properties("ReconcileFunction")["MemorySize"] == {"Ref": "MergeMemorySize"}
    assert default["ExtractConcurrency"] == STARTED_BY_A_BURST
    assert default["Architecture"] in prices.LAMBDA_GB_S.what
    assert default["ReconcileSchedule"] == "rate(1 day)"


def test_old_versions_are_kept_as_long_as_the_template_keeps_them() -> None:
    kept = {
        rule["Id"]: rule["NoncurrentVersionExpiration"]
        for rule in properties("ChannelBucket")["LifecycleConfiguration"]["Rules"]
        if "NoncurrentVersionExpiration" in rule
    }
    until_applied = 1
    assert kept["KeepOneOldVersion"] == {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}
    assert 1 + until_applied == metering.OLD_INDEX_DAYS
    old_shards = kept["ExpireOldVersions"]["NoncurrentDays"] + until_applied
    retention = TEMPLATE["Parameters"]["RetentionDays"]["Default"]
    assert retention + 3 + old_shards == metering.OLD_OTHER_DAYS
