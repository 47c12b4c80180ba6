"""``python -m benchmarks.report``: tables and plots of what ``results.json`` holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

from benchmarks import page_tables, plots, results
from benchmarks.cases import COLD_START, SLUICE, Case, Sample, Work
from benchmarks.first_index import OPERATIONS as FIRST_INDEX
from benchmarks.large import WITH_DIGESTS, WITHOUT_DIGESTS
from benchmarks.markdown import Table, middle, spread, table
from benchmarks.measures import INDEX_FIRST, INDEX_ONE_MORE
from benchmarks.published import INDEX_FILES
from benchmarks.results import Measured, Results
from testkit.child_process import ROOT

REPORT = Path(__file__).with_name("results.md")
PICTURES = ROOT / "docs" / "benchmarks"
_PREFACE = (
    "Written by `make bench-report` from [results.json](results.json), which `make bench` writes; "
    "each number is explained in [README.md](README.md)."
)
_MIB = 1024 * 1024
_COLD_STARTS = tuple(f"{COLD_START}{name}" for name in ("extract", "merge", "reconcile"))

Column = tuple[str, Callable[[Measured], str]]
"""The head, and the cell of a case."""
Value = Callable[[Sample], float | None]
"""A number of a sample; ``None``: it has none."""


def _column(
    head: str,
    value: Value,
    digits: int = 2,
    how: Callable[[Iterable[float], int], str] = spread,
) -> Column:
    def cell(one: Measured) -> str:
        values = [number for number in map(value, one.samples) if number is not None]
        return how(values, digits) if values else ""

    return head, cell


def _middle(head: str, value: Value, digits: int = 2) -> Column:
    return _column(head, value, digits, middle)


def _of(name: str, value: Callable[[Work], float]) -> Value:
    """A number of one process, where the subject has it."""
    return lambda sample: value(sample.works[name]) if name in sample.works else None


def _bracketed_specs(sample: Sample) -> float | None:
    """Requests to S3 for each package."""
    return sample.s3.requests / sample.facts["packages"] if sample.requests else None


def _wall(one: Measured) -> str:
    text = spread(sample.wall_s for sample in one.samples)
    return f"{text}, too long" if any(sample.over_time for sample in one.samples) else text


def _peaks(one: Measured) -> str:
    names = one.samples[0].works
    peaks = ((sample.works[name].peak_mib for sample in one.samples) for name in names)
    return " / ".join(middle(peak, 0) for peak in peaks)


_PACKAGES: Column = ("Packages", lambda one: f"{one.case.packages:,}")
_LATENCY: Column = ("Added latency", lambda one: f"{one.case.latency_ms:g} ms")
_WHO: Column = ("Indexed by", lambda one: one.case.who)
_SUBJECT: Column = ("Indexed by", lambda one: one.case.subject)
_NAMES = _middle("Names", lambda sample: sample.facts["names"], 0)
_WALL: Column = ("Wall s", _wall)
_CPU = _column("CPU s", lambda sample: sample.cpu_s)
_MERGES = _column("Merges", _of("merge", lambda work: work.runs), 0)
_PEAKS: Column = ("Peak MiB", _peaks)

_COSTS: Sequence[Column] = (
    ("Operation", lambda one: one.case.operation),
    *(_PACKAGES, _LATENCY, _WHO, _WALL, _CPU),
    _column("S3 requests", lambda sample: sample.s3.requests, 0),
    _middle("MiB up", lambda sample: sample.s3.bytes_up / _MIB),
    _middle("MiB down", lambda sample: sample.s3.bytes_down / _MIB),
    _PEAKS,
    _middle("Init s", lambda sample: sample.init_s),
)
_VISIBLE: Sequence[Column] = (
    *(_PACKAGES, _LATENCY, _WHO),
    *(_column(f"{n}, s", lambda sample, n=n: sample.visible_s[n]) for n in INDEX_FILES),  # type: ignore[misc]
)
_BURSTS: Sequence[Column] = (
    *(_PACKAGES, _SUBJECT),
    _middle("Uploaded", lambda sample: sample.facts["packages"], 0),
    *(_NAMES, _WALL, _CPU),
    _column("Extract, CPU ms each", _of("extract", lambda work: 1000 * work.cpu_s / work.runs)),
    _MERGES,
    _column("S3 requests each", _bracketed_specs),
    _PEAKS,
)
_IMPORTS: Sequence[Column] = (
    *(_PACKAGES, _NAMES, _SUBJECT, _WALL),
    _middle("CPU s", lambda sample: sample.cpu_s, 1),
    _column("Extract, packages per CPU s", _of("extract", lambda work: work.runs / work.cpu_s), 0),
    _MERGES,
    _middle("Merge, CPU s", _of("merge", lambda work: work.cpu_s), 1),
    _middle("Longest merge, s", _of("merge", lambda work: work.longest_s), 1),
    _middle("S3 requests each", _bracketed_specs),
    _PEAKS,
)
_COLD: Sequence[Column] = (
    ("Function", lambda one: one.case.operation.removeprefix(COLD_START)),
    _column("Handler imported, ms", lambda sample: 1000 * sample.init_s, 0),
    _middle("CPU ms", lambda sample: 1000 * sample.facts["cpu_s"], 0),
    _column("S3's first answer, ms", lambda sample: 1000 * sample.facts["first_answer_s"], 0),
)
_LARGE: Sequence[Column] = (
    ("Package", lambda one: f".conda of {one.samples[-1].facts['payload_mib']:,.0f} MiB"),
    ("Digests", lambda one: "in its metadata" if one.case.operation == WITH_DIGESTS else "none"),
    _middle("S3 requests", lambda sample: sample.s3.requests, 0),
    _middle("MiB moved", lambda sample: (sample.s3.bytes_up + sample.s3.bytes_down) / _MIB, 3),
    _middle("Wall s", lambda sample: sample.wall_s),
    _middle("Peak MiB", lambda sample: sample.peak_mib, 0),
    _middle("Before", lambda sample: sample.facts["peak_mib_before"], 0),
)


def _table(columns: Sequence[Column]) -> Callable[[Sequence[Measured]], str]:
    """A row per case."""
    head = [head for head, _ in columns]
    return lambda measured: table([head, *([cell(one) for _, cell in columns] for one in measured)])


cold_starts = _table(_COLD)
"""From the start of a new process to the handler, and to the answer of its first request."""


def _ratios(measured: Sequence[Measured]) -> str:
    """How many times less sluice's cold handlers take than rattler-index."""
    samples = {one.case: one.samples for one in measured}
    values: Sequence[Callable[[Sample], float]] = (
        lambda sample: sample.wall_s,
        lambda sample: sample.s3.requests,
        lambda sample: sample.peak_mib,
    )
    rows: Table = [["Packages", "Added latency", "Wall", "S3 requests", "Peak memory"]]
    for case, theirs in samples.items():
        ours = samples.get(Case(case.operation, case.packages, case.latency_ms, SLUICE, "cold"))
        if case.subject != SLUICE and ours is not None:
            ratios = (median(map(of, theirs)) / median(map(of, ours)) for of in values)
            texts = (f"{ratio:,.1f}x" for ratio in ratios)
            rows.append([f"{case.packages:,}", f"{case.latency_ms:g} ms", *texts])
    return table(rows)


def _handlers(measured: Sequence[Measured]) -> str:
    """Wall and CPU of each handler by itself."""
    rows: Table = [["Packages", "Added latency", "", "Handler", "Wall s", "CPU s", "Peak MiB"]]
    for one in measured:
        for name in one.samples[0].works if one.case.subject == SLUICE else ():
            works = [sample.works[name] for sample in one.samples]
            rows.append(
                [
                    *(f"{one.case.packages:,}", f"{one.case.latency_ms:g} ms"),
                    *(one.case.temperature, name),
                    middle((work.wall_s for work in works), 3),
                    middle((work.cpu_s for work in works), 3),
                    middle((work.peak_mib for work in works), 0),
                ]
            )
    return table(rows)


def _operations(measured: Sequence[Measured]) -> str:
    """Requests and bytes by operation, of the last run of each subject."""
    rows: Table = [["Packages", "Indexed by", "Operation", "Requests", "KiB up", "KiB down"]]
    last = {(one.case.packages, one.case.who): one.samples[-1].requests for one in measured}
    for (packages, who), requests in last.items():
        for name, count in sorted(requests.items()):
            sizes = (f"{size / 1024:,.1f}" for size in (count.bytes_up, count.bytes_down))
            rows.append([f"{packages:,}", who, name, f"{count.requests:,}", *sizes])
    return table(rows)


def _published(measured: Sequence[Measured]) -> str:
    """Sizes of the index files after the last run of each subject."""
    last = {(one.case.packages, one.case.subject): one.samples[-1] for one in measured}
    rows: Table = [["Packages", "Indexed by", *(f"{name}, KiB" for name in INDEX_FILES)]]
    for (packages, subject), sample in last.items():
        sizes = (f"{sample.published[name] / 1024:,.1f}" for name in INDEX_FILES)
        rows.append([f"{packages:,}", subject, *sizes])
    return table(rows)


_SECTIONS: Sequence[tuple[str, Callable[[Sequence[Measured]], str], tuple[str, ...]]] = (
    ("One upload", _table(_COSTS), ("upload",)),
    ("How much less", _ratios, ("upload",)),
    ("Visible after", _table(_VISIBLE), ("upload",)),
    ("The handlers by themselves", _handlers, ("upload",)),
    ("Other changes", _table(_COSTS), ("overwrite", "removal", "patch", "take-over")),
    ("A burst of a thousand", _table(_BURSTS), ("burst",)),
    ("First import", _table(_IMPORTS), ("import",)),
    ("sluice index", _table(_COSTS), (INDEX_FIRST, INDEX_ONE_MORE)),
    ("First index of larger packages, and on SeaweedFS", _table(_COSTS), FIRST_INDEX),
    ("Reconcile with nothing to do", _table(_COSTS), ("reconcile",)),
    ("Requests by operation", _operations, ("upload",)),
    ("Published files", _published, ("upload",)),
    ("Cold start", cold_starts, _COLD_STARTS),
    ("One large package", _table(_LARGE), (WITH_DIGESTS, WITHOUT_DIGESTS)),
)


def _order(one: Measured) -> tuple[str, int, float, str, str]:
    case = one.case
    return case.operation, case.packages, -case.latency_ms, case.subject, case.temperature


def document(kept: Results) -> str:
    """All of it as one Markdown document; what was not measured has no section."""
    parts = ["# Benchmark results", _PREFACE]
    for title, body, operations in _SECTIONS:
        if measured := sorted(kept.of(*operations), key=_order):
            parts += [f"## {title}", body(measured)]
    if pictures := _pictures(kept):
        parts += ["## Against the size of the channel", table(pictures)]
    parts.append("## Measured")
    for date, conditions in kept.runs.items():
        cases = [one.case for one in kept.cases if one.run == date]
        sizes = sorted({case.packages for case in cases if case.packages > 1})
        packages = ", ".join(f"{size:,}" for size in sizes) or "large"
        names = ", ".join(sorted({case.operation for case in cases}))
        parts += [f"Packages: {packages}. Operations: {names}.", conditions.table()]
    return "\n\n".join(parts) + "\n"


def _pictures(kept: Results) -> Table:
    """All plots, a row for each operation that was measured; else no table."""
    folder = Path("..") / PICTURES.relative_to(ROOT)
    header = ["", *(quantity.title for quantity in plots.QUANTITIES)]
    rows = [
        [figures.doing, *(f"![]({folder / figures.file(of)})" for of in plots.QUANTITIES)]
        for figures in plots.FIGURES
        if figures.measured(kept)
    ]
    return [header, *rows] if rows else []


def main() -> None:
    """Write ``results.md`` and the tables of other pages, and draw the plots."""
    kept = results.read(results.PATH)
    REPORT.write_text(document(kept))
    print(REPORT)
    page_tables.write(kept)
    for page in page_tables.PAGES:
        print(page)
    for path in plots.draw(kept, PICTURES):
        print(path)


if __name__ == "__main__":
    main()
