"""What AWS would charge for what was measured, against dollars that are worked out by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import cost, results
from benchmarks.cases import Case, Sample, Work
from benchmarks.cost import (
    LAMBDA_GB_S,
    LAMBDA_REQUEST,
    PRICES,
    S3_DELETE,
    S3_READ,
    S3_STORAGE,
    S3_WRITE,
    SCENARIOS,
    SQS_FIFO,
    SQS_STANDARD,
    STARTED_BY_A_BURST,
    Missing,
    Scenario,
    Size,
    dollars,
    gb_seconds,
    month,
    page,
    sizes,
    usd,
)
from benchmarks.published import INDEX_FILES
from benchmarks.results import Conditions, Results
from testkit.counts import Count
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
    return sizes(all_measured())[1_000]


# --- prices -------------------------------------------------------------------------------


@pytest.mark.parametrize("price", PRICES, ids=lambda price: price.what)
def test_every_price_has_a_source_and_a_date_and_is_what_its_text_says(price: cost.Price) -> None:
    assert price.source
    assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", price.read)
    if price is S3_DELETE:
        assert (price.usd, price.text) == (0, "free")
        return
    text = re.fullmatch(r"\$([\d.]+) / (?:([\d,]+) )?[A-Za-z-]+", price.text)
    assert text
    assert price.usd == pytest.approx(float(text[1]) / int((text[2] or "1").replace(",", "")))


def test_what_is_given_away_is_taken_from_the_cheaper_queue_first() -> None:
    bill = {
        SQS_STANDARD: 700_000.0,
        SQS_FIFO: 1_300_000.0,
        LAMBDA_REQUEST: 5.0,
        LAMBDA_GB_S: 400_001.0,
        S3_READ: 1000.0,
    }
    # A million FIFO requests are left, a GB-second, and what S3 charges.
    assert dollars(cost.after_free(bill)) == pytest.approx(0.50 + 0.0000133334 + 0.0004)


# --- quantities ---------------------------------------------------------------------------


def test_requests_are_charged_by_class_and_deleting_is_free() -> None:
    bill = cost.requests(OURS)
    # An upload is three requests to each kind of queue.
    assert bill == {S3_WRITE: 12, S3_READ: 8, S3_DELETE: 1, SQS_STANDARD: 3, SQS_FIFO: 3}
    assert dollars(bill) == pytest.approx(
        12 * 0.000005 + 8 * 0.0000004 + 3 * 0.0000004 + 3 * 0.0000005
    )


def test_a_message_that_is_handed_back_is_received_twice_and_deleted_once() -> None:
    works = {**OURS.works, "merge": replace(OURS.works["merge"], runs=2)}
    sent = {"sqs:SendMessage": Count(1), "sqs:ChangeMessageVisibility": Count(1)}
    assert cost.requests(replace(OURS, works=works, requests=sent))[SQS_FIFO] == 2 + 2 + 1


def test_a_request_of_an_unknown_class_is_an_error() -> None:
    with pytest.raises(KeyError, match="Restore"):
        cost.requests(replace(OURS, requests={"s3:RestoreObject": Count(1)}))


def test_cpu_time_takes_longer_on_less_than_a_cpu_and_waiting_does_not() -> None:
    waiting, busy = Work(1, 1.0, 0.0, 90.0, 1.0), Work(1, 1.0, 1.0, 90.0, 1.0)
    assert gb_seconds("extract", waiting) == 1.0
    assert gb_seconds("extract", busy) == pytest.approx(GB_OF_MERGE)
    assert gb_seconds("merge", busy) == pytest.approx(GB_OF_MERGE)


def test_two_cores_are_not_counted_on() -> None:
    work = Work(1, 1.0, 1.5, 90.0, 1.0)
    assert gb_seconds("merge", work) == pytest.approx(1.5 * GB_OF_MERGE)


def test_what_needs_more_memory_than_the_default_pays_for_more() -> None:
    work = Work(1, 1.0, 0.0, 1600.0, 1.0)
    assert cost.memory_mb("merge", work) == 2000
    assert gb_seconds("merge", work) == 2000 / 1024


def test_old_versions_of_an_index_go_after_two_days_and_the_rest_later() -> None:
    # 1 GiB of index files, and half of one of everything else.
    months = cost.stored(OURS, cost.OLD_INDEX_DAYS, cost.OLD_OTHER_DAYS)[S3_STORAGE]
    assert months == pytest.approx((1.0 * 2 + 0.5 * 41) * 12 / 365)


# --- dollars ------------------------------------------------------------------------------


def test_an_upload_that_comes_alone_pays_for_a_merge_and_two_starts(size: Size) -> None:
    # 1 GB for 0.1 s and a start of 0.4 s, 1.73 GB for 1 s and a start of 0.6 s.
    gb_s = 0.5 + 1.6 * GB_OF_MERGE
    stored = (1.0 * 2 + 0.5 * 41) * 12 / 365
    usd = 0.00006 + 0.0000032 + 0.0000012 + 0.0000015 + 2 * 0.0000002
    assert size.cold.bill[LAMBDA_GB_S] == pytest.approx(gb_s)
    assert dollars(size.cold.bill) == pytest.approx(usd + gb_s * 0.0000133334 + stored * 0.023)
    warm = 0.1 + 1.0 * GB_OF_MERGE
    assert size.warm.bill[LAMBDA_GB_S] == pytest.approx(warm)


def test_a_burst_is_divided_by_its_packages(size: Size) -> None:
    # Each has an extract; a thousand share fifty starts, one merge, and here all requests.
    shared = STARTED_BY_A_BURST * 0.4 + 1.6 * GB_OF_MERGE
    bill = size.burst.bill
    assert bill[LAMBDA_GB_S] == pytest.approx(0.1 + shared / 1000)
    assert bill[LAMBDA_REQUEST] == pytest.approx(1 + 1 / 1000)
    assert dollars(bill, S3_WRITE) == pytest.approx(12 * 0.000005 / 1000)


def test_rattler_index_pays_for_requests_and_for_compute_as_on_lambda(size: Size) -> None:
    usd = 500 * 0.000005 + 100 * 0.0000004 + 5 * GB_OF_MERGE * 0.0000133334
    assert dollars(size.theirs.bill) == pytest.approx(usd)
    assert dollars(size.theirs_burst.bill) == pytest.approx(usd / 1000)


@pytest.mark.parametrize(("wall_s", "minutes"), [(4, 1), (29, 1), (30, 2), (89, 2), (90, 3)])
def test_a_job_is_charged_in_minutes_that_have_begun(wall_s: float, minutes: int) -> None:
    # Thirty seconds until it begins, and one of imports.
    kept, case = all_measured(), replace(COLD, subject="rattler-index")
    works = {"rattler-index": Work(1, wall_s - 1, 0.0, 1.0, wall_s - 1)}
    kept.take(case, CONDITIONS, [replace(THEIRS, init_s=2.0, works=works)])
    assert sizes(kept)[1_000].theirs.bill[cost.CI_MINUTE] == minutes


def test_a_month_is_uploads_storage_reconcile_and_polling(size: Size) -> None:
    made = month(Scenario("half in bursts", 1000, uploads=2000, in_bursts=0.5), size)
    uploads = 1000 * dollars(size.cold.bill) + 1000 * dollars(size.burst.bill)
    days = 365 / 12
    reconcile = days * (10 * 0.000005 + 5 * 0.0000004 + 0.0000002 + 2 * GB_OF_MERGE * 0.0000133334)
    polls = 5 * 3 * 60 * 24 * days
    polling = 2 * polls * 0.0000004 + 2 * polls * 0.0000005
    assert dollars(made["at rest"]) == pytest.approx(1.5 * 0.023)
    assert dollars(made["sluice"]) == pytest.approx(uploads + 1.5 * 0.023 + reconcile + polling)
    assert dollars(made["rattler-index"]) == pytest.approx(2000 * dollars(size.theirs.bill))
    assert made["rattler-index"][cost.CI_MINUTE] == 2000
    # One job for each that comes alone, and one for the burst.
    assert made["rattler-index once"][cost.CI_MINUTE] == pytest.approx(1001)
    assert dollars(made["rattler-index once"]) == pytest.approx(1001 * dollars(size.theirs.bill))


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
        (
            "costs need what was not measured "
            '(make coldstart; make bench SIZES="1000 10000 500000"):'
        ),
        "  cold-start-merge, 1 packages, 0 ms, sluice, cold",
        "  upload, 500,000 packages, 15 ms, sluice, cold",
    ]


def test_the_command_line_fails_and_writes_nothing_where_something_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, written = tmp_path / "results.json", tmp_path / "cost.md"
    monkeypatch.setattr(results, "PATH", kept)
    monkeypatch.setattr(cost, "PAGE", written)
    assert cost.main() == 1
    assert "take-over, 10,000 packages" in capsys.readouterr().err
    assert not written.exists()
    results.write(kept, all_measured())
    assert cost.main() == 0
    assert written.read_text() == page(all_measured())


def test_a_size_beside_the_scenarios_is_told_of_if_all_of_it_was_measured() -> None:
    known = [scenario.packages for scenario in SCENARIOS]
    kept = measured(*known, 100_000)
    kept.take(replace(COLD, packages=20_000), CONDITIONS, [OURS])
    assert [*sizes(kept)] == sorted([*known, 100_000])


def test_a_reconcile_that_was_not_measured_is_left_out_and_said_so() -> None:
    kept = measured(*(scenario.packages for scenario in SCENARIOS), reconciled=False)
    text = page(kept)
    assert re.search(r"\| reconcile, daily +\|( not measured +\|){3}\n", text)
    assert "What was not measured is missing from the sum." in text


# --- the page -----------------------------------------------------------------------------


def test_the_page_has_each_price_with_its_source() -> None:
    text = page(all_measured())
    for price in PRICES:
        row = rf"\| {re.escape(price.what)} +\| .+ \| {re.escape(price.source)} +\| {price.read}"
        assert re.search(row, text)
    assert "| $0.0000133334 / GB-second " in text
    assert "| $0.005 / 1,000 requests " in text
    assert "| $0.40 / 1,000,000 requests " in text


def test_dollars_have_as_many_digits_as_tell_something() -> None:
    texts = [usd(amount) for amount in (0, 0.00001, 0.0345, 1, 1234.5)]
    assert texts == ["$0", "< $0.0001", "$0.0345", "$1.00", "$1,234.50"]


def test_the_page_tells_a_thousand_uploads() -> None:
    text = page(all_measured())
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| 1,000") and "after each upload" in line
    ]
    assert rows[0] == [
        *("1,000", "rattler-index, after each upload", "$2.50", "$0.0400", "$0"),
        *("$0.1152", "$0", "**$2.66**", "1,769", "1,000"),
    ]


def test_what_lambda_would_stop_is_not_offered_as_a_price() -> None:
    slow = replace(OURS, works={**OURS.works, "merge": Work(1, 301.0, 1.0, 100.0, 301.0)})
    kept = all_measured()
    assert "cold, too long" not in page(kept)
    kept.take(COLD, CONDITIONS, [slow])
    assert "| sluice, alone, cold, too long " in page(kept)


# --- what is said of the template ---------------------------------------------------------


def test_memory_and_concurrency_are_the_defaults_of_the_template() -> None:
    default = {name: one["Default"] for name, one in TEMPLATE["Parameters"].items()}
    assert {
        "extract": default["ExtractMemorySize"],
        "merge": default["MergeMemorySize"],
        "reconcile": default["MergeMemorySize"],
    } == cost.MEMORY_MB
    assert properties("ReconcileFunction")["MemorySize"] == {"Ref": "MergeMemorySize"}
    assert default["ExtractConcurrency"] == STARTED_BY_A_BURST
    assert default["Architecture"] in LAMBDA_GB_S.what
    assert default["ReconcileSchedule"] == "rate(1 day)"


def test_old_versions_are_kept_as_long_as_the_template_keeps_them() -> None:
    kept = {
        rule["Id"]: rule["NoncurrentVersionExpiration"]
        for rule in properties("ChannelBucket")["LifecycleConfiguration"]["Rules"]
        if "NoncurrentVersionExpiration" in rule
    }
    until_applied = 1
    assert kept["KeepOneOldVersion"] == {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}
    assert 1 + until_applied == cost.OLD_INDEX_DAYS
    old_shards = kept["ExpireOldVersions"]["NoncurrentDays"] + until_applied
    retention = TEMPLATE["Parameters"]["RetentionDays"]["Default"]
    assert retention + 3 + old_shards == cost.OLD_OTHER_DAYS
