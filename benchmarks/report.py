"""Measurements as Markdown: a table for each question.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks.cases import Case, Sample
from benchmarks.counts import Count
from benchmarks.figures import middle, spread
from benchmarks.large import WITH_DIGESTS, WITHOUT_DIGESTS
from benchmarks.markdown import Table, table
from benchmarks.published import INDEX_FILES
from benchmarks.results import Measured, Results
from benchmarks.subjects import SLUICE

MIB = 1024 * 1024
COLD_START = "cold-start-"
"""What the name of the operation begins with; the function's name follows."""
_COLD_STARTS = tuple(f"{COLD_START}{name}" for name in ("extract", "merge", "reconcile"))
_OTHERS = ("overwrite", "removal", "patch", "take-over")


def sections(results: Results) -> list[tuple[str, str]]:
    """Title and table of everything of which there is anything."""
    tables: Sequence[tuple[str, Callable[[Sequence[Measured]], str], tuple[str, ...]]] = (
        ("One upload", costs, ("upload",)),
        ("How much less", ratios, ("upload",)),
        ("Visible after", visible, ("upload",)),
        ("The handlers by themselves", handlers, ("upload",)),
        ("Other changes", costs, _OTHERS),
        ("A burst of a thousand", bursts, ("burst",)),
        ("First import", imports, ("import",)),
        ("sluice index", costs, ("index-first", "index-one-more")),
        ("Reconcile with nothing to do", costs, ("reconcile",)),
        ("Requests by operation", operations, ("upload",)),
        ("Published files", published, ("upload",)),
        ("Cold start", cold_starts, _COLD_STARTS),
        ("One large package", large, (WITH_DIGESTS, WITHOUT_DIGESTS)),
    )
    return [
        (title, of(found))
        for title, of, names in tables
        if (found := sorted(results.of(*names), key=_order))
    ]


def costs(measured: Sequence[Measured]) -> str:
    """What a change costs: a row per case, medians with the range."""
    rows: Table = [
        [
            *("Operation", "Packages", "Added latency", "Indexed by", "Wall s", "CPU s"),
            *("S3 requests", "MiB up", "MiB down", "Peak MiB", "Init s"),
        ]
    ]
    rows.extend(
        [
            one.case.operation,
            f"{one.case.packages:,}",
            f"{one.case.latency_ms:g} ms",
            one.case.who,
            _wall(one.samples),
            spread(sample.cpu_s for sample in one.samples),
            spread((sample.s3.requests for sample in one.samples), digits=0),
            middle(sample.s3.bytes_up / MIB for sample in one.samples),
            middle(sample.s3.bytes_down / MIB for sample in one.samples),
            _peaks(one.samples),
            middle(sample.init_s for sample in one.samples),
        ]
        for one in measured
    )
    return table(rows)


def ratios(measured: Sequence[Measured]) -> str:
    """How many times less sluice's cold handlers take than rattler-index."""
    samples = {one.case: one.samples for one in measured}
    rows: Table = [["Packages", "Added latency", "Wall", "S3 requests", "Peak memory"]]
    for case, theirs in samples.items():
        ours = samples.get(Case(case.operation, case.packages, case.latency_ms, SLUICE, "cold"))
        if case.subject == SLUICE or ours is None:
            continue
        rows.append(
            [
                f"{case.packages:,}",
                f"{case.latency_ms:g} ms",
                _ratio(theirs, ours, lambda sample: sample.wall_s),
                _ratio(theirs, ours, lambda sample: sample.s3.requests),
                _ratio(theirs, ours, lambda sample: sample.peak_mib),
            ]
        )
    return table(rows)


def visible(measured: Sequence[Measured]) -> str:
    """Seconds until each index file was there, since the process that writes it was called."""
    rows: Table = [["Packages", "Added latency", "Indexed by", *(f"{n}, s" for n in INDEX_FILES)]]
    rows.extend(
        [
            f"{one.case.packages:,}",
            f"{one.case.latency_ms:g} ms",
            one.case.who,
            *(spread(sample.visible_s[name] for sample in one.samples) for name in INDEX_FILES),
        ]
        for one in measured
    )
    return table(rows)


def handlers(measured: Sequence[Measured]) -> str:
    """Wall and CPU of each handler by itself."""
    rows: Table = [["Packages", "Added latency", "", "Handler", "Wall s", "CPU s", "Peak MiB"]]
    for one in measured:
        if one.case.subject != SLUICE:
            continue
        for name in one.samples[0].works:
            works = [sample.works[name] for sample in one.samples]
            rows.append(
                [
                    f"{one.case.packages:,}",
                    f"{one.case.latency_ms:g} ms",
                    one.case.temperature,
                    name,
                    middle((work.wall_s for work in works), digits=3),
                    middle((work.cpu_s for work in works), digits=3),
                    middle((work.peak_mib for work in works), digits=0),
                ]
            )
    return table(rows)


def bursts(measured: Sequence[Measured]) -> str:
    """What each of many packages costs that come at once."""
    rows: Table = [
        [
            *("Packages", "Indexed by", "Uploaded", "Names", "Wall s", "CPU s"),
            *("Extract, CPU ms each", "Merges", "S3 requests each", "Peak MiB"),
        ]
    ]
    rows.extend(
        [
            f"{one.case.packages:,}",
            one.case.subject,
            middle((sample.facts["packages"] for sample in one.samples), digits=0),
            middle((sample.facts["names"] for sample in one.samples), digits=0),
            _wall(one.samples),
            spread(sample.cpu_s for sample in one.samples),
            _of_extract(one, lambda sample: 1000 * _extract_cpu_s(sample), digits=2),
            _merges(one),
            spread(sample.s3.requests / sample.facts["packages"] for sample in one.samples),
            _peaks(one.samples),
        ]
        for one in measured
    )
    return table(rows)


def imports(measured: Sequence[Measured]) -> str:
    """How fast a bucket full of packages is read, and what the index of it takes."""
    rows: Table = [
        [
            *("Packages", "Names", "Indexed by", "Wall s", "CPU s", "Extract, packages per CPU s"),
            *("Merges", "Merge, CPU s", "Longest merge, s", "S3 requests each", "Peak MiB"),
        ]
    ]
    for one in measured:
        merged = [sample.works["merge"] for sample in one.samples if "merge" in sample.works]
        rows.append(
            [
                f"{one.case.packages:,}",
                middle((sample.facts["names"] for sample in one.samples), digits=0),
                one.case.subject,
                _wall(one.samples),
                middle((sample.cpu_s for sample in one.samples), digits=1),
                _of_extract(one, lambda sample: 1 / _extract_cpu_s(sample), digits=0),
                _merges(one),
                middle((work.cpu_s for work in merged), digits=1) if merged else "",
                middle((work.longest_s for work in merged), digits=1) if merged else "",
                middle(sample.s3.requests / sample.facts["packages"] for sample in one.samples)
                if one.samples[0].requests
                else "",
                _peaks(one.samples),
            ]
        )
    return table(rows)


def operations(measured: Sequence[Measured]) -> str:
    """Requests and bytes by operation, of the last run of each subject."""
    rows: Table = [["Packages", "Indexed by", "Operation", "Requests", "KiB up", "KiB down"]]
    last = {(one.case.packages, one.case.who): one.samples[-1].requests for one in measured}
    for (packages, who), requests in last.items():
        for name, count in sorted(requests.items()):
            rows.append([f"{packages:,}", who, name, *_counts(count)])
    return table(rows)


def published(measured: Sequence[Measured]) -> str:
    """Sizes of the index files after the last run of each subject."""
    last = {(one.case.packages, one.case.subject): one.samples[-1] for one in measured}
    rows: Table = [["Packages", "Indexed by", *(f"{name}, KiB" for name in INDEX_FILES)]]
    rows.extend(
        [
            f"{packages:,}",
            subject,
            *(f"{sample.published[name] / 1024:,.1f}" for name in INDEX_FILES),
        ]
        for (packages, subject), sample in last.items()
    )
    return table(rows)


def cold_starts(measured: Sequence[Measured]) -> str:
    """From the start of a new process to the handler, and to the answer of its first request."""
    rows: Table = [["Function", "Handler imported, ms", "CPU ms", "S3's first answer, ms"]]
    rows.extend(
        [
            one.case.operation.removeprefix(COLD_START),
            spread((1000 * sample.init_s for sample in one.samples), digits=0),
            middle((1000 * sample.facts["cpu_s"] for sample in one.samples), digits=0),
            spread((1000 * sample.facts["first_answer_s"] for sample in one.samples), digits=0),
        ]
        for one in measured
    )
    return table(rows)


def large(measured: Sequence[Measured]) -> str:
    """What reading a large package costs."""
    rows: Table = [
        ["Package", "Digests", "S3 requests", "MiB moved", "Wall s", "Peak MiB", "Before"]
    ]
    for one in measured:
        sample = one.samples[-1]
        moved = sample.s3.bytes_up + sample.s3.bytes_down
        rows.append(
            [
                f".conda of {sample.facts['payload_mib']:,.0f} MiB",
                "in its metadata" if one.case.operation == WITH_DIGESTS else "none",
                str(sample.s3.requests),
                f"{moved / MIB:,.3f}",
                f"{sample.wall_s:.2f}",
                f"{sample.peak_mib:.0f}",
                f"{sample.facts['peak_mib_before']:.0f}",
            ]
        )
    return table(rows)


def _order(one: Measured) -> tuple[str, int, float, str, str]:
    case = one.case
    return case.operation, case.packages, -case.latency_ms, case.subject, case.temperature


def _ratio(theirs: Sequence[Sample], ours: Sequence[Sample], of: Callable[[Sample], float]) -> str:
    return f"{median(map(of, theirs)) / median(map(of, ours)):,.1f}x"


def _wall(samples: Sequence[Sample]) -> str:
    told = spread(sample.wall_s for sample in samples)
    return f"{told}, too long" if any(sample.over_time for sample in samples) else told


def _extract_cpu_s(sample: Sample) -> float:
    """Seconds for each package."""
    work = sample.works["extract"]
    return work.cpu_s / work.runs


def _of_extract(one: Measured, of: Callable[[Sample], float], *, digits: int) -> str:
    samples = [sample for sample in one.samples if "extract" in sample.works]
    return spread(map(of, samples), digits=digits) if samples else ""


def _merges(one: Measured) -> str:
    runs = [sample.works["merge"].runs for sample in one.samples if "merge" in sample.works]
    return spread(runs, digits=0) if runs else ""


def _peaks(samples: Iterable[Sample]) -> str:
    found = list(samples)
    return " / ".join(
        middle((sample.works[name].peak_mib for sample in found), digits=0)
        for name in found[0].works
    )


def _counts(count: Count) -> list[str]:
    return [
        f"{count.requests:,}",
        f"{count.bytes_up / 1024:,.1f}",
        f"{count.bytes_down / 1024:,.1f}",
    ]
