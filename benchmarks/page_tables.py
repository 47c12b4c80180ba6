"""The tables of results in the README and the documentation, each between two comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks import cost
from benchmarks.cases import SLUICE, TYPICAL_LATENCY_MS, Case, Sample
from benchmarks.markdown import Table, middle, table
from benchmarks.measures import INDEX_FIRST, INDEX_ONE_MORE
from benchmarks.results import Results
from benchmarks.worker import RATTLER_INDEX, SLUICE_INDEX
from testkit.child_process import ROOT

PAGES = (ROOT / "README.md", ROOT / "docs" / "how-to" / "any-s3.md")
_BLOCK = re.compile(
    r"(?P<begin><!-- (?P<name>[a-z-]+): written by make bench-report -->\n)"
    r".*?"
    r"(?P<end><!-- end -->)",
    re.DOTALL,
)
_SIZES = (10_000, 100_000, 500_000)
_UPLOADS = 1_000
_BURST_INTO = 10_000
_CENTS_FROM_USD = 0.1
"""Below it a third digit is shown."""
_OF_S3 = (cost.S3_WRITE, cost.S3_READ, cost.S3_DELETE)


def speed_and_cost(kept: Results) -> str:
    """One upload, cold: sluice's functions beside rattler-index, and the price of a thousand."""
    rows: Table = [
        [
            "Packages in the subdir",
            "sluice",
            "rattler-index",
            "Speedup",
            "S3 requests of both",
            "Price of 1,000 uploads",
        ]
    ]
    for packages in _SIZES:
        size = cost.size(kept, packages)
        theirs = cost.dollars(size.theirs.bill, *_OF_S3)
        case = Case("upload", packages, TYPICAL_LATENCY_MS, SLUICE, "cold")
        rows.append([f"{packages:,}", *_row(kept, case, cost.dollars(size.cold.bill), theirs)])
    size, burst = cost.size(kept, _BURST_INTO), Case("burst", _BURST_INTO, 0.0, SLUICE, "cold")
    prices = cost.dollars(size.burst.bill), cost.dollars(size.theirs_burst.bill, *_OF_S3)
    rows.append([f"{_BURST_INTO:,}, {_UPLOADS:,} at once", *_row(kept, burst, *prices)])
    return table(rows)


def _row(kept: Results, case: Case, ours_usd: float, theirs_usd: float) -> list[str]:
    """Seconds, speedup, requests and dollars of both."""
    ours, theirs = kept.samples(case), kept.samples(replace(case, subject=RATTLER_INDEX))
    requests = (middle((one.s3.requests for one in of), 0) for of in (ours, theirs))
    prices = (_UPLOADS * usd for usd in (ours_usd, theirs_usd))
    dollars = (f"${usd:,.2f}" if usd >= _CENTS_FROM_USD else f"${usd:.3f}" for usd in prices)
    return [*_walls(ours, theirs), " / ".join(requests), " / ".join(dollars)]


def index_beside_rattler_index(kept: Results) -> str:
    """``sluice index`` beside rattler-index: a first index, and one package more."""
    head = ["Packages", "", "Added latency", "sluice index", "rattler-index", "", "S3 requests"]
    rows: Table = [head]
    for packages in (1_000, 10_000):
        for operation, what in ((INDEX_FIRST, "first index"), (INDEX_ONE_MORE, "one more")):
            for latency_ms in (TYPICAL_LATENCY_MS, 0.0):
                ours, theirs = (
                    kept.samples(Case(operation, packages, latency_ms, subject, "cold"))
                    for subject in (SLUICE_INDEX, RATTLER_INDEX)
                )
                requests = (
                    middle((one.s3.requests for one in samples), 0) for samples in (ours, theirs)
                )
                rows.append(
                    [
                        *(f"{packages:,}", what, f"{latency_ms:g} ms"),
                        *_walls(ours, theirs),
                        " / ".join(requests),
                    ]
                )
    return table(rows)


TABLES: Mapping[str, Callable[[Results], str]] = {
    "speed-and-cost": speed_and_cost,
    "index-beside-rattler-index": index_beside_rattler_index,
}


def with_tables(text: str, kept: Results) -> str:
    """A page with each of its tables as the results have it."""
    return _BLOCK.sub(
        lambda block: f"{block['begin']}\n{TABLES[block['name']](kept)}\n\n{block['end']}", text
    )


def write(kept: Results) -> None:
    """Write the tables into all pages."""
    for page in PAGES:
        page.write_text(with_tables(page.read_text(), kept))


def names_on(page: Path) -> list[str]:
    """The tables that a page has."""
    return [block["name"] for block in _BLOCK.finditer(page.read_text())]


def _walls(ours: list[Sample], theirs: list[Sample]) -> list[str]:
    """Median wall times, and how many times faster the first is."""
    medians = [middle((one.wall_s for one in of), 2) for of in (ours, theirs)]
    ratio = float(medians[1].replace(",", "")) / float(medians[0].replace(",", ""))
    return [*(f"{seconds} s" for seconds in medians), f"{ratio:.{ratio < 10:d}f} ×"]  # noqa: RUF001
