"""``python -m benchmarks.page``: how long people wait for the page of a large channel.

Headless Chromium opens it again and again, each time with an empty cache, searches in it and opens
packages.  Writes ``results-page.md``.  Exits with 1 where a median is above its budget.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page

from benchmarks.conditions import load_average, observe
from benchmarks.markdown import table
from sluice.layout import PAGE, PAGE_DATA, SHARD_INDEX
from tests.support import browser, people
from tests.support.web import Site, served

RESULTS = Path(__file__).with_name("results-page.md")
FIRST_RESULTS_MS = 1000
SEARCH_MS = 50
_FIRST = "First results"
_STANDS = "A search: the rows stand"
_PAINTED = "A search: the next frame is painted"
_OPENED = "The builds of a package"
_SLOW = "First results at 10 Mbit/s, 40 ms"
_BUDGETS = {_FIRST: FIRST_RESULTS_MS, _STANDS: SEARCH_MS, _PAINTED: SEARCH_MS}
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


@dataclass(slots=True)
class Samples:
    """Milliseconds, by what was waited for."""

    taken: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, ms: float) -> None:
        """Note one."""
        self.taken.setdefault(what, []).append(ms)

    def above_budget(self) -> list[str]:
        """What takes too long."""
        return [what for what, budget in _BUDGETS.items() if median(self.taken[what]) > budget]


def main() -> int:
    """Measure as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--names", type=int, default=30_000, help="packages of the channel")
    parser.add_argument("--runs", type=int, default=15, help="how often the page is opened")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    load = load_average()
    samples = Samples()
    with tempfile.TemporaryDirectory(prefix="sluice-page-") as temporary:
        folder = Path(temporary)
        print("Making the channel ...", file=sys.stderr)
        builds = people.many(arguments.names)
        people.write(folder / "team", builds, about=people.summaries(builds))
        with served(folder) as site, browser.running() as running:
            version = running.version
            for number in range(arguments.runs):
                print(f"Run {number + 1} of {arguments.runs} ...", file=sys.stderr)
                name = builds[number * len(builds) // arguments.runs].name
                _measure(running, site, name, samples)
            for _ in range(_SLOW_RUNS):
                with _opened(running, site, slow=True) as page:
                    samples.add(_SLOW, _first_results(page))
        sizes = _sizes(folder / "team")
    conditions = observe(
        command=f"python -m benchmarks.page --names {arguments.names} --runs {arguments.runs}",
        load_before=load,
        packages=("playwright",),
    )
    body = "\n\n".join(
        [
            "# The page, measured",
            "Written by `make bench-page`; [README.md](README.md) says what it measures.",
            conditions.table(),
            f"Chromium {version}, headless, on the machine that serves the files.",
            f"## {arguments.names:,} names",
            _rows(samples),
            sizes,
        ]
    )
    arguments.output.write_text(body + "\n")
    print(body)
    late = samples.above_budget()
    for what in late:
        print(f"above its budget: {what}", file=sys.stderr)
    return 1 if late else 0


def _measure(running: Browser, site: Site, name: str, samples: Samples) -> None:
    with _opened(running, site) as page:
        samples.add(_FIRST, _first_results(page))
        for words in _QUERIES:
            stands, painted = page.evaluate(_SEARCH, words)
            samples.add(_STANDS, stands)
            samples.add(_PAINTED, painted)
        samples.add(_OPENED, page.evaluate(_OPEN, name))


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


def _rows(samples: Samples) -> str:
    rows = [["Milliseconds until", "median", "least", "most", "of", "budget"]]
    for what, taken in samples.taken.items():
        numbers = [f"{ms:.1f}" for ms in (median(taken), min(taken), max(taken))]
        rows.append([what, *numbers, str(len(taken)), str(_BUDGETS.get(what, ""))])
    return table(rows)


def _sizes(channel: Path) -> str:
    listing = (channel / PAGE_DATA).read_bytes()
    index = max((one / SHARD_INDEX for one in channel.iterdir() if one.is_dir()), key=_size)
    rows = [
        ["File", "bytes"],
        [f"`{PAGE}`", f"{_size(channel / PAGE):,}"],
        [f"`{PAGE_DATA}`", f"{len(listing):,}"],
        ["the same, unpacked", f"{len(zlib.decompress(listing, wbits=31)):,}"],
        [f"the largest of four `{SHARD_INDEX}`", f"{_size(index):,}"],
    ]
    return table(rows)


def _size(path: Path) -> int:
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
