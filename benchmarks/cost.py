"""``python -m benchmarks.cost``: dollars, from what was measured and list prices: docs/cost.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import results
from benchmarks.cases import COLD_START, SLUICE, TYPICAL_LATENCY_MS, Case, Sample, Samples, Work
from benchmarks.markdown import table
from benchmarks.results import Results
from benchmarks.worker import RATTLER_INDEX
from testkit.child_process import ROOT
from testkit.counts import Count

PAGE, TEMPLATE = ROOT / "docs" / "cost.md", Path(__file__).with_name("cost.template.md")


class Price(NamedTuple):
    """A list price of AWS in us-east-1."""

    what: str
    usd: float
    """For one."""
    text: str
    source: str
    read: str
    """When: a day, or a month where the source tells no more."""


class Scenario(NamedTuple):
    """A channel: one subdir, and what happens to it in a month."""

    name: str
    packages: int
    uploads: int
    in_bursts: float
    """Share of the uploads that come a thousand at once."""


_S3 = ("aws.amazon.com/s3/pricing", "2026-10-01")
_SQS = ("cloudburn.io/blog/amazon-sqs-pricing, and a study of SQS that cites AWS", "2026-09")
_LAMBDA = ("AWS Price List API", "2026-09")
_EVENTBRIDGE = ("cloudburn.io/blog/amazon-eventbridge-pricing", "2026-03")
_M = 1_000_000
PRICES = (
    S3_WRITE := Price("S3 PUT, COPY, POST, LIST", 0.005 / 1000, "$0.005 / 1,000 requests", *_S3),
    S3_READ := Price("S3 GET, HEAD and others", 0.0004 / 1000, "$0.0004 / 1,000 requests", *_S3),
    S3_DELETE := Price("S3 DELETE", 0, "free", *_S3),
    S3_STORAGE := Price("S3 Standard storage", 0.023, "$0.023 / GB-month", *_S3),
    SQS_STANDARD := Price("SQS, standard queue", 0.4 / _M, "$0.40 / 1,000,000 requests", *_SQS),
    SQS_FIFO := Price("SQS, FIFO queue", 0.5 / _M, "$0.50 / 1,000,000 requests", *_SQS),
    LAMBDA_REQUEST := Price("Lambda requests", 0.2 / _M, "$0.20 / 1,000,000 requests", *_LAMBDA),
    LAMBDA_GB_S := Price("Lambda, arm64", 0.0000133334, "$0.0000133334 / GB-second", *_LAMBDA),
    Price("EventBridge events", 1 / _M, "$1.00 / 1,000,000 events", *_EVENTBRIDGE),
)
CI_MINUTE = Price("Minute of a CI job", 0, "as the runner", "", "")
FREE = (
    ((SQS_STANDARD, SQS_FIFO), 1_000_000, "1,000,000 requests to SQS", *_SQS),
    ((LAMBDA_REQUEST,), 1_000_000, "1,000,000 requests to Lambda", *_LAMBDA),
    ((LAMBDA_GB_S,), 400_000, "400,000 GB-seconds of Lambda", *_LAMBDA),
    ((), 14_000_000, "14,000,000 starts by EventBridge Scheduler", *_EVENTBRIDGE),
)
"""Each month, to each account: off which prices in turn, how much, as the source has it."""
_CHARGED_AS = {
    **dict.fromkeys(("Put", "Copy", "Create", "Upload", "Complete", "List"), S3_WRITE),
    **dict.fromkeys(("Get", "Head"), S3_READ),
    **dict.fromkeys(("Delete", "Abort"), S3_DELETE),
}
"""By the first word of the name of an operation of S3."""
_HAND_BACK = "sqs:ChangeMessageVisibility"
"""Sent for a message that is handed back, which Lambda then does not delete."""

SCENARIOS = (
    Scenario("small", packages=1_000, uploads=100, in_bursts=0),
    Scenario("medium", packages=10_000, uploads=3_000, in_bursts=0.2),
    Scenario("like conda-forge", packages=500_000, uploads=30_000, in_bursts=0.9),
)
MEMORY_MB: Mapping[str, int] = {"extract": 1024, "merge": 1769, "reconcile": 1769}
"""As the template has it by default; rattler-index gets what merge has."""
MEMORY_MB_OF_A_CPU, MEMORY_SPARE = 1769, 1.25
STARTED_BY_A_BURST = 50
"""Extracts that a burst finds cold: ``ExtractConcurrency``."""
JOB_SETUP_S = 30
DAYS_A_MONTH, GIB = 365 / 12, 2**30
POLLERS, POLL_SECONDS = 5, 20
STANDARD_REQUESTS_PER_EVENT, FIFO_REQUESTS_PER_MERGE = 3, 2
OLD_INDEX_DAYS = 2
"""An old version of an index file lives a day, and at most another until the rule is applied."""
OLD_OTHER_DAYS = 7 + 3 + 31
"""``RetentionDays``; at most a day each for the mark, its age and the run that collects; then an
old version of a shard lives another 30 and the day until the rule is applied."""

Bill = Mapping[Price, float]  # how much of what is charged


class Cost(NamedTuple):
    """One upload in one way of indexing it."""

    who: str
    memory_mb: int
    """Of the process that publishes."""
    bill: Bill


class Size(NamedTuple):
    """What there is to pay for in a channel of so many packages."""

    cold: Cost
    warm: Cost
    burst: Cost
    """Each package of a burst."""
    theirs: Cost
    theirs_burst: Cost
    """Each package of a burst, after all of which rattler-index runs once."""
    at_rest: Bill
    """A month of the catalog, and of one old version of each index file."""
    reconcile: Bill
    """One run that finds nothing to do; empty: not measured."""


class Missing(RuntimeError):
    """Something has not been measured; says what to run."""


def add(*bills: Bill) -> Bill:
    """The sum of bills."""
    prices = {price: None for bill in bills for price in bill}
    return {price: sum(bill.get(price, 0) for bill in bills) for price in prices}


def times(factor: float, bill: Bill) -> Bill:
    """A bill so many times."""
    return {price: factor * quantity for price, quantity in bill.items()}


def typical(bills: Iterable[Bill]) -> Bill:
    """The median of each quantity."""
    bills = list(bills)
    return {price: median(bill.get(price, 0) for bill in bills) for price in add(*bills)}


def dollars(bill: Bill, *prices: Price) -> float:
    """What a bill comes to at list price; of some prices only, where any are given."""
    return sum(price.usd * bill.get(price, 0) for price in prices or bill)


def after_free(bill: Bill) -> Bill:
    """What is left of a month's bill of an account that has nothing else."""
    left = dict(bill)
    for prices, amount, *_ in FREE:
        free: float = amount
        for price in prices:
            taken = min(free, left.get(price, 0))
            free, left[price] = free - taken, left.get(price, 0) - taken
    return left


def requests(sample: Sample) -> Bill:
    """Requests by class; those of S3 and of Lambda to queues are not measured, but known."""
    runs = {name: work.runs for name, work in sample.works.items()}
    standard = STANDARD_REQUESTS_PER_EVENT * runs.get("extract", 0)
    received = FIFO_REQUESTS_PER_MERGE * runs.get("merge", 0)
    handed_back = sample.requests.get(_HAND_BACK, Count()).requests
    bill = {SQS_STANDARD: standard, SQS_FIFO: received - handed_back}
    for name, count in sample.requests.items():
        service, verb = re.findall(r"^\w+|(?<=:)[A-Z][a-z]+", name)
        price = _CHARGED_AS[verb] if service == "s3" else SQS_FIFO
        bill[price] = bill.get(price, 0) + count.requests
    return bill


def memory_mb(name: str, work: Work) -> int:
    """The template's default, or more where the peak comes too near to it."""
    return max(MEMORY_MB.get(name, MEMORY_MB["merge"]), ceil(MEMORY_SPARE * work.peak_mib))


def gb_seconds(name: str, work: Work, init_s: float = 0) -> float:
    """What a process would take on Lambda.

    Below 1,769 MB there is less than one CPU, so that CPU time takes longer and waiting does not.
    More than one is never counted on.  ``init_s`` has a whole CPU in any case.
    """
    memory = memory_mb(name, work)
    slower = MEMORY_MB_OF_A_CPU / min(memory, MEMORY_MB_OF_A_CPU)
    seconds = max(work.wall_s, work.cpu_s) + (slower - 1) * work.cpu_s
    return memory / 1024 * (seconds + init_s)


def compute(works: Mapping[str, Work], init_s: Mapping[str, float]) -> Bill:
    """Runs of functions; those of which ``init_s`` knows begin with so many seconds."""
    used = sum(gb_seconds(name, work, init_s.get(name, 0)) for name, work in works.items())
    return {LAMBDA_REQUEST: sum(work.runs for work in works.values()), LAMBDA_GB_S: used}


def stored(sample: Sample, index_days: float, other_days: float) -> Bill:
    """What a change has written, for as long as it is kept: index files, and the rest."""
    index = sum(sample.published.values())
    other = max(0, sample.s3.bytes_up - index)
    return {S3_STORAGE: (index * index_days + other * other_days) / GIB / DAYS_A_MONTH}


def size(kept: Results, packages: int) -> Size:
    """Work out what a channel costs from the samples of its cases."""
    init_s = {name: median(one.init_s for one in kept.samples(_start(name))) for name in MEMORY_MB}
    take_over, cold, warm, burst, theirs, theirs_burst = map(kept.samples, _needed(packages))
    looks = kept.samples(Case("reconcile", packages, TYPICAL_LATENCY_MS, SLUICE, "cold"))
    # In a burst each extract waits for S3 as one does that comes alone.
    extract = typical(compute({"extract": one.works["extract"]}, {}) for one in warm)
    starts = STARTED_BY_A_BURST * init_s["extract"] * MEMORY_MB["extract"] / 1024

    def change(sample: Sample, works: Mapping[str, Work], starting: Mapping[str, float]) -> Bill:
        old = stored(sample, OLD_INDEX_DAYS, OLD_OTHER_DAYS)
        return add(requests(sample), compute(works, starting), old)

    def merge(one: Sample) -> Bill:
        return add(change(one, {"merge": one.works["merge"]}, init_s), {LAMBDA_GB_S: starts})

    def share(one: Sample, bill: Bill) -> Bill:
        return times(1 / one.facts["packages"], bill)

    cold_bills = [change(one, one.works, init_s) for one in cold]
    warm_bills = [change(one, one.works, {}) for one in warm]
    burst_bills = [add(extract, share(one, merge(one))) for one in burst]
    their_burst = [share(one, _job(one)) for one in theirs_burst]
    return Size(
        _cost("sluice, alone, cold", cold, "merge", cold_bills),
        _cost("sluice, alone, warm", warm, "merge", warm_bills),
        _cost("sluice, in a burst", burst, "merge", burst_bills),
        _cost("rattler-index, after each upload", theirs, RATTLER_INDEX, map(_job, theirs)),
        _cost("rattler-index, once after a burst", theirs_burst, RATTLER_INDEX, their_burst),
        typical(stored(one, DAYS_A_MONTH, DAYS_A_MONTH) for one in take_over),
        typical(add(requests(one), compute(one.works, init_s)) for one in looks),
    )


def _cost(way: str, samples: Samples, publisher: str, bills: Iterable[Bill]) -> Cost:
    too_long = ", too long" if any(sample.over_time for sample in samples) else ""
    memory = max(memory_mb(publisher, sample.works[publisher]) for sample in samples)
    return Cost(f"{way}{too_long}", memory, typical(bills))


def _job(sample: Sample) -> Bill:
    """rattler-index, as if it ran on Lambda, and nothing had to be started or sent; or in CI."""
    used = gb_seconds(RATTLER_INDEX, sample.works[RATTLER_INDEX], sample.init_s)
    minutes = ceil((JOB_SETUP_S + sample.init_s + sample.wall_s) / 60)  # that have begun
    return add(requests(sample), {LAMBDA_GB_S: used, CI_MINUTE: minutes})


def _start(name: str) -> Case:
    return Case(f"{COLD_START}{name}", 1, 0.0, SLUICE, "cold")


def _needed(packages: int) -> Sequence[Case]:
    return (
        Case("take-over", packages, 0.0, SLUICE, "cold"),
        Case("upload", packages, TYPICAL_LATENCY_MS, SLUICE, "cold"),
        Case("upload", packages, TYPICAL_LATENCY_MS, SLUICE, "warm"),
        Case("burst", packages, 0.0, SLUICE, "cold"),
        Case("upload", packages, TYPICAL_LATENCY_MS, RATTLER_INDEX, "cold"),
        Case("burst", packages, 0.0, RATTLER_INDEX, "cold"),
    )


def sizes(kept: Results) -> Mapping[int, Size]:
    """Those of the scenarios, and every other of which all is known, by their packages.

    Raises ``Missing`` where it is not known of those of the scenarios.
    """
    cases = {one.case for one in kept.cases}
    wanted = [scenario.packages for scenario in SCENARIOS]
    needed = [*map(_start, MEMORY_MB), *(case for packages in wanted for case in _needed(packages))]
    missing = "".join(f"\n  {case}" for case in needed if case not in cases)
    if missing:
        commands = f'make coldstart; make bench SIZES="{" ".join(map(str, wanted))}"'
        raise Missing(f"costs need what was not measured ({commands}):{missing}")
    complete = {case.packages for case in cases if cases.issuperset(_needed(case.packages))}
    return {packages: size(kept, packages) for packages in sorted(complete)}


def month(scenario: Scenario, of: Size) -> Mapping[str, Bill]:
    """What a month of a scenario comes to, in a channel of its size, by what it is spent on."""
    burst = scenario.in_bursts * scenario.uploads
    alone = scenario.uploads - burst
    polls = POLLERS * DAYS_A_MONTH * 24 * 3600 / POLL_SECONDS
    ours = {
        "uploads": add(times(alone, of.cold.bill), times(burst, of.burst.bill)),
        "at rest": of.at_rest,
        "reconcile": times(DAYS_A_MONTH, of.reconcile),
        "polling": {SQS_STANDARD: 2 * polls, SQS_FIFO: 2 * polls},
    }
    return {
        **ours,
        "sluice": add(*ours.values()),
        "rattler-index": times(scenario.uploads, of.theirs.bill),
        "rattler-index once": add(times(alone, of.theirs.bill), times(burst, of.theirs_burst.bill)),
    }


def usd(amount: float) -> str:
    """Dollars, with as many digits as tell something."""
    if 0 < amount < 0.0001:
        return "< $0.0001"
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}" if amount else "$0"


def _of(*prices: Price) -> Callable[[Bill], str]:
    return lambda bill: usd(dollars(bill, *prices)) if bill else "not measured"


def _minutes(bill: Bill) -> str:
    return f"{bill[CI_MINUTE]:,.0f}" if CI_MINUTE in bill else ""


_OF_S3, _OF_SQS = _of(S3_WRITE, S3_READ, S3_DELETE), _of(SQS_STANDARD, SQS_FIFO)
_OF_LAMBDA = _of(LAMBDA_REQUEST, LAMBDA_GB_S)
_UPLOADS: Mapping[str, Callable[[Bill], str]] = {
    "S3 PUT, LIST": _of(S3_WRITE),
    "S3 GET, HEAD": _of(S3_READ),
    "SQS": _OF_SQS,
    "Lambda": _OF_LAMBDA,
    "Old versions": _of(S3_STORAGE),
    "**All**": lambda bill: f"**{usd(dollars(bill))}**",
}
_QUANTITIES = {
    "S3 PUT, LIST": S3_WRITE,
    "S3 GET, HEAD": S3_READ,
    "S3 DELETE": S3_DELETE,
    "SQS standard": SQS_STANDARD,
    "SQS FIFO": SQS_FIFO,
    "Lambda requests": LAMBDA_REQUEST,
    "Lambda GB s": LAMBDA_GB_S,
    "Old versions, MB-months": S3_STORAGE,
}
_MONTHS: Sequence[tuple[str, str, Callable[[Bill], str]]] = (
    ("uploads: S3 requests", "uploads", _OF_S3),
    ("uploads: SQS", "uploads", _OF_SQS),
    ("uploads: Lambda", "uploads", _OF_LAMBDA),
    ("uploads: old versions", "uploads", _of(S3_STORAGE)),
    ("catalog, one old version", "at rest", _of()),
    ("reconcile, daily", "reconcile", _of()),
    ("idle polling", "polling", _of()),
    ("**sluice**", "sluice", _UPLOADS["**All**"]),
    ("sluice, less what AWS gives away", "sluice", lambda bill: usd(dollars(after_free(bill)))),
    ("rattler-index after each upload: S3 requests", "rattler-index", _OF_S3),
    ("… compute, as on Lambda", "rattler-index", _OF_LAMBDA),
    ("**rattler-index after each upload**", "rattler-index", _UPLOADS["**All**"]),
    ("… less what AWS gives away", "rattler-index", lambda bill: usd(dollars(after_free(bill)))),
    ("… or, for the compute, minutes of CI", "rattler-index", _minutes),
    ("rattler-index, but once after each burst", "rattler-index once", _of()),
    ("… or, for the compute, minutes of CI", "rattler-index once", _minutes),
)


def page(kept: Results) -> str:
    """The whole document; raises ``Missing``."""
    known = sizes(kept)
    uploads = [["Packages", "Indexed by", *_UPLOADS, "MB", "CI minutes"]]
    quantities = [["Packages", "Indexed by", *_QUANTITIES]]
    for packages, of in known.items():
        for who, memory, bill in (of.cold, of.warm, of.burst, of.theirs, of.theirs_burst):
            way, thousand = [f"{packages:,}", who], times(1000, bill)
            cells = [cell(thousand) for cell in _UPLOADS.values()]
            uploads.append([*way, *cells, f"{memory:,}", _minutes(thousand)])
            units = {price: bill.get(price, 0) for price in _QUANTITIES.values()}
            units[S3_STORAGE] *= 1024
            quantities.append([*way, *(f"{quantity:,.3f}" for quantity in units.values())])
    scenarios = [["", "Packages", "Uploads", "In bursts"]]
    for name, packages, many, in_bursts in SCENARIOS:
        scenarios.append([name, f"{packages:,}", f"{many:,}", f"{in_bursts:.0%}"])
    months = [month(scenario, known[scenario.packages]) for scenario in SCENARIOS]
    lines = [[line, *(cell(one[key]) for one in months)] for line, key, cell in _MONTHS]
    prices = [[price.what, price.text, price.source, price.read] for price in PRICES]
    tables = {
        "prices": table([["What", "Price", "Read at", "On"], *prices]),
        "allowances": "; ".join(f"{text} ({source}, {read})" for *_, text, source, read in FREE),
        "uploads": table(uploads),
        "quantities": table(quantities),
        "scenarios": table(scenarios),
        "months": table([["", *(scenario.name for scenario in SCENARIOS)], *lines]),
        "all_sizes": " ".join(str(scenario.packages) for scenario in SCENARIOS),
    }
    return TEMPLATE.read_text().format_map(globals() | tables)


def main() -> int:
    """Write the page; returns the exit status."""
    try:
        PAGE.write_text(page(results.read(results.PATH)))
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
