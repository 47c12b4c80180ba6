"""``python -m benchmarks.page``: how long people wait for the page of a large channel.

Headless Chromium opens it again and again, each time with an empty cache, searches in it and opens
packages.  Writes ``results-page.md``.  Exits with 1 where a median is above its budget.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page

from benchmarks.markdown import table
from benchmarks.results import observe
from sluice.layout import PAGE, PAGE_DATA, SHARD_INDEX
from testkit import browser, people
from testkit.web import Site, served

RESULTS = Path(__file__).with_name("results-page.md")
_FIRST = "First results"
_STANDS = "A search: the rows stand"
_PAINTED = "A search: the next frame is painted"
_OPENED = "The builds of a package"
_SLOW = "First results at 10 Mbit/s, 40 ms"
BUDGETS_MS = {_FIRST: 1000, _STANDS: 50, _PAINTED: 50}
_QUERIES = ("a", "py", "grid", "arrow-cast", "bindings library", "no such thing")
_SLOW_RUNS = 3

# Frames are counted on from the beginning of the navigation, where the clock stands at zero.
_WATCH_FOR_ROWS = """
    (function look() {
        const row = document.querySelector("[role=option] .name");
        if (row && row.textContent) requestAnimationFrame(() => setTimeout(() => {
            globalThis.firstResults = performance.now();
        }));
        else requestAnimationFrame(look);
    })();
"""
_SEARCH = """async (words) => {
    const query = document.getElementById("query");
    const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    await painted();
    const began = performance.now();
    query.value = words;
    query.dispatchEvent(new Event("input", {bubbles: true}));
    const stands = performance.now() - began;
    await painted();
    return [stands, performance.now() - began];
}"""
_OPEN = """async (name) => {
    const began = performance.now();
    location.hash = `#/package/${name}`;
    while (!document.querySelector(".build")) await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""


Times = Mapping[str, Sequence[float]]
"""Milliseconds, by what was waited for."""


def main() -> int:
    """Measure as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--names", type=int, default=30_000, help="packages of the channel")
    parser.add_argument("--runs", type=int, default=15, help="how often the page is opened")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    command = f"python -m benchmarks.page --names {options.names} --runs {options.runs}"
    conditions = observe(command, "playwright")
    with tempfile.TemporaryDirectory(prefix="sluice-page-") as temporary:
        folder = Path(temporary)
        print("Making the channel ...", file=sys.stderr)
        builds = people.many(options.names)
        people.write(folder / "team", builds, about=people.summaries(builds))
        names = [builds[n * len(builds) // options.runs].name for n in range(options.runs)]
        with served(folder) as site, browser.running() as running:
            chromium, times = running.version, _measure(running, site, names)
        sizes = _sizes(folder / "team")
    parts = [
        "# The page, measured",
        "Written by `make bench-page`; [README.md](README.md) says what it measures.",
        conditions.table(),
        f"Chromium {chromium}, headless, on the machine that serves the files.",
        f"## {options.names:,} names",
        _rows(times),
        sizes,
    ]
    options.output.write_text("\n\n".join(parts) + "\n")
    print("\n\n".join(parts))
    late = [what for what, budget in BUDGETS_MS.items() if median(times[what]) > budget]
    for what in late:
        print(f"above its budget: {what}", file=sys.stderr)
    return 1 if late else 0


def _measure(running: Browser, site: Site, names: Sequence[str]) -> Times:
    times: dict[str, list[float]] = defaultdict(list)
    for number, name in enumerate(names):
        print(f"Run {number + 1} of {len(names)} ...", file=sys.stderr)
        with _opened(running, site) as page:
            times[_FIRST].append(_first_results(page))
            for words in _QUERIES:
                stands, painted = page.evaluate(_SEARCH, words)
                times[_STANDS].append(stands)
                times[_PAINTED].append(painted)
            times[_OPENED].append(page.evaluate(_OPEN, name))
    for _ in range(_SLOW_RUNS):
        with _opened(running, site, slow=True) as page:
            times[_SLOW].append(_first_results(page))
    return times


@contextmanager
def _opened(running: Browser, site: Site, *, slow: bool = False) -> Iterator[Page]:
    """The page in a profile of its own, so that nothing is kept from the time before."""
    context = running.new_context()
    page = context.new_page()
    page.add_init_script(_WATCH_FOR_ROWS)
    if slow:
        network = {"offline": False, "latency": 40, "downloadThroughput": 10e6 / 8}
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", {**network, "uploadThroughput": -1})
    page.goto(f"{site.url}/team/")
    yield page
    context.close()


def _first_results(page: Page) -> float:
    page.locator("[role=option]").first.wait_for()
    while (ms := page.evaluate("globalThis.firstResults")) is None:
        page.wait_for_timeout(10)
    return float(ms)


def _rows(times: Times) -> str:
    rows = [["Milliseconds until", "median", "least", "most", "of", "budget"]]
    for what, taken in times.items():
        numbers = [f"{ms:.1f}" for ms in (median(taken), min(taken), max(taken))]
        rows.append([what, *numbers, str(len(taken)), str(BUDGETS_MS.get(what, ""))])
    return table(rows)


def _sizes(channel: Path) -> str:
    listing = (channel / PAGE_DATA).read_bytes()
    indexes = [path.stat().st_size for path in channel.glob(f"*/{SHARD_INDEX}")]
    sizes = {
        f"`{PAGE}`": (channel / PAGE).stat().st_size,
        f"`{PAGE_DATA}`": len(listing),
        "the same, unpacked": len(zlib.decompress(listing, wbits=31)),
        f"the largest of four `{SHARD_INDEX}`": max(indexes),
    }
    return table([["File", "bytes"], *([name, f"{size:,}"] for name, size in sizes.items())])


if __name__ == "__main__":
    sys.exit(main())
