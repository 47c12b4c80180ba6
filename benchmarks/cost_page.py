"""``docs/cost.md``: its tables, and the whole of it.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import metering, prices
from benchmarks.bill import Bill
from benchmarks.cost_model import (
    JOB_SETUP_S,
    SCENARIOS,
    STARTED_BY_A_BURST,
    Cost,
    Month,
    Size,
    month,
)
from benchmarks.cost_text import PAGE
from benchmarks.markdown import Table, table
from benchmarks.stage import TYPICAL_LATENCY_MS

_UPLOADS = 1000
_LEAST_USD = 0.0001
_S3 = (prices.S3_WRITE, prices.S3_READ, prices.S3_DELETE)
_SQS = (prices.SQS_STANDARD, prices.SQS_FIFO)
_LAMBDA = (prices.LAMBDA_REQUEST, prices.LAMBDA_GB_S)


def page(sizes: Sequence[Size]) -> str:
    """The whole document."""
    of = {size.packages: size for size in sizes}
    months = [month(scenario, of[scenario.packages]) for scenario in SCENARIOS]
    return PAGE.format(
        latency=f"{TYPICAL_LATENCY_MS:g}",
        region=prices.REGION,
        prices=list_prices(),
        allowances="; ".join(f"{a.told} ({a.source}, {a.read})" for a in prices.ALLOWANCES),
        uploads=uploads(sizes),
        too_long=_too_long(sizes),
        quantities=quantities(sizes),
        scenarios=scenarios(),
        months=by_month(months),
        not_reconciled=_not_reconciled(months),
        standard=metering.STANDARD_REQUESTS_PER_EVENT,
        fifo=metering.FIFO_REQUESTS_PER_MERGE,
        pollers=metering.POLLERS,
        poll=metering.POLL_SECONDS,
        extract=f"{metering.MEMORY_MB['extract']:,}",
        merge=f"{metering.MEMORY_MB['merge']:,}",
        cpu=f"{metering.MEMORY_MB_OF_A_CPU:,}",
        started=STARTED_BY_A_BURST,
        index_days=metering.OLD_INDEX_DAYS,
        other_days=metering.OLD_OTHER_DAYS,
        setup=JOB_SETUP_S,
        events=prices.EVENTBRIDGE_EVENT.usd,
        sizes=" ".join(str(scenario.packages) for scenario in SCENARIOS),
    )


def list_prices() -> str:
    """Each price with where it was read, and when."""
    rows: Table = [["What", "Price", "Read at", "On"]]
    rows.extend([price.what, _price(price), price.source, price.read] for price in prices.PRICES)
    return table(rows)


def uploads(sizes: Sequence[Size]) -> str:
    """Dollars for a thousand uploads."""
    rows: Table = [
        [
            *("Packages", "Indexed by", "S3 PUT, LIST", "S3 GET, HEAD", "SQS", "Lambda"),
            *("Old versions", "**All**", "MB", "CI minutes"),
        ]
    ]
    for size in sizes:
        for cost in size.costs:
            bill = cost.bill.times(_UPLOADS)
            rows.append(
                [
                    f"{size.packages:,}",
                    f"{cost.who}, too long" if cost.too_long else cost.who,
                    usd(bill.usd(prices.S3_WRITE)),
                    usd(bill.usd(prices.S3_READ)),
                    usd(bill.usd(*_SQS)),
                    usd(bill.usd(*_LAMBDA)),
                    usd(bill.usd(prices.S3_STORAGE)),
                    f"**{usd(bill.usd())}**",
                    f"{cost.memory_mb:,}",
                    _minutes(cost),
                ]
            )
    return table(rows)


def quantities(sizes: Sequence[Size]) -> str:
    """What one upload is charged for."""
    charged = (
        (prices.S3_WRITE, "S3 PUT, LIST", 1),
        (prices.S3_READ, "S3 GET, HEAD", 1),
        (prices.S3_DELETE, "S3 DELETE", 1),
        (prices.SQS_STANDARD, "SQS standard", 1),
        (prices.SQS_FIFO, "SQS FIFO", 1),
        (prices.LAMBDA_REQUEST, "Lambda requests", 1),
        (prices.LAMBDA_GB_S, "Lambda GB s", 1),
        (prices.S3_STORAGE, "Old versions, MB-months", 1024),
    )
    rows: Table = [["Packages", "Indexed by", *(name for _, name, _ in charged)]]
    rows.extend(
        [
            f"{size.packages:,}",
            cost.who,
            *(f"{factor * cost.bill.of(price):,.3f}" for price, _, factor in charged),
        ]
        for size in sizes
        for cost in size.costs
    )
    return table(rows)


def scenarios() -> str:
    """What is meant by small, medium and so on."""
    rows: Table = [["", "Packages", "Uploads", "In bursts"]]
    rows.extend(
        [one.name, f"{one.packages:,}", f"{one.uploads:,}", f"{one.in_bursts:.0%}"]
        for one in SCENARIOS
    )
    return table(rows)


def by_month(months: Sequence[Month]) -> str:
    """Dollars a month: a column per scenario."""
    lines: Sequence[tuple[str, Callable[[Month], str]]] = (
        ("uploads: S3 requests", lambda one: usd(one.uploads.usd(*_S3))),
        ("uploads: SQS", lambda one: usd(one.uploads.usd(*_SQS))),
        ("uploads: Lambda", lambda one: usd(one.uploads.usd(*_LAMBDA))),
        ("uploads: old versions", lambda one: usd(one.uploads.usd(prices.S3_STORAGE))),
        ("catalog, one old version", lambda one: usd(one.at_rest.usd())),
        ("reconcile, daily", lambda one: _usd(one.reconcile)),
        ("idle polling", lambda one: usd(one.polling.usd())),
        ("**sluice**", lambda one: f"**{usd(one.ours.usd())}**"),
        ("sluice, less what AWS gives away", lambda one: usd(one.ours.after_allowances().usd())),
        ("rattler-index after each upload: S3 requests", lambda one: usd(one.theirs.usd(*_S3))),
        ("… compute, as on Lambda", lambda one: usd(one.theirs.usd(*_LAMBDA))),
        ("**rattler-index after each upload**", lambda one: f"**{usd(one.theirs.usd())}**"),
        ("… less what AWS gives away", lambda one: usd(one.theirs.after_allowances().usd())),
        ("… or, for the compute, minutes of CI", lambda one: f"{one.theirs_minutes:,.0f}"),
        (
            "rattler-index, but once after each burst",
            lambda one: usd(one.theirs_once.usd()),
        ),
        (
            "… or, for the compute, minutes of CI",
            lambda one: f"{one.theirs_once_minutes:,.0f}",
        ),
    )
    head = ["", *(one.scenario.name for one in months)]
    return table([head, *([name, *map(tell, months)] for name, tell in lines)])


def usd(amount: float) -> str:
    """Dollars, with as many digits as tell something."""
    if amount == 0:
        return "$0"
    if amount < _LEAST_USD:
        return f"< ${_LEAST_USD}"
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"


def _usd(bill: Bill | None) -> str:
    return "not measured" if bill is None else usd(bill.usd())


def _price(price: prices.Price) -> str:
    if not price.usd:
        return "free"
    told = f"{price.usd:.10f}".rstrip("0")
    dollars = told if len(told.partition(".")[2]) > 2 else f"{price.usd:.2f}"
    return f"${dollars} / {price.unit if price.per == 1 else f'{price.per:,} {price.unit}'}"


def _minutes(cost: Cost) -> str:
    if cost.job_minutes is None:
        return ""
    return f"{_UPLOADS * cost.job_minutes:,.0f}"


def _too_long(sizes: Sequence[Size]) -> str:
    if not any(cost.too_long for size in sizes for cost in size.costs):
        return ""
    return ' "Too long": Lambda would have stopped a function before it was done: not to be had.'


def _not_reconciled(months: Sequence[Month]) -> str:
    names = [one.scenario.name for one in months if one.reconcile is None]
    if not names:
        return ""
    return (
        f"\nReconcile was not measured at the size of: {', '.join(names)}; it is missing there.\n"
    )
