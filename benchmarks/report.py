"""Measurements as Markdown.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from statistics import median

from benchmarks.counts import Count
from benchmarks.large import Reading
from benchmarks.markdown import Table, table
from benchmarks.uploads import Case, Sample
from benchmarks.worker import Usage

MIB = 1024 * 1024


def uploads(samples: Sequence[Sample]) -> str:
    """What one upload costs: a row per case, medians with the range."""
    rows: Table = [
        [
            *("Packages", "Added latency", "Indexed by", "Wall s", "CPU s", "S3 requests"),
            *("MiB up", "MiB down", "Peak MiB", "Init s"),
        ]
    ]
    for case, group in _by_case(samples):
        rows.append(
            [
                f"{case.packages:,}",
                f"{case.latency_ms:g} ms",
                case.who,
                _spread(sample.indexed.wall_s for sample in group),
                _spread(sample.indexed.cpu_s for sample in group),
                _spread((s3_requests(sample.requests) for sample in group), digits=0),
                _middle(_s3_total(sample.requests).bytes_up / MIB for sample in group),
                _middle(_s3_total(sample.requests).bytes_down / MIB for sample in group),
                _peaks(group),
                _middle(sample.init_s for sample in group),
            ]
        )
    return table(rows)


def ratios(samples: Sequence[Sample]) -> str:
    """How many times less wall time sluice's cold handlers take than rattler-index."""
    walls = {
        case: median(sample.indexed.wall_s for sample in group)
        for case, group in _by_case(samples)
        if case.temperature == "cold"
    }
    rows: Table = [["Packages", "Added latency", "Wall, rattler-index / sluice cold"]]
    for case, wall in walls.items():
        if case.subject != "sluice":
            ours = Case(case.packages, case.latency_ms, "sluice", "cold")
            ratio = wall / walls[ours]
            rows.append([f"{case.packages:,}", f"{case.latency_ms:g} ms", f"{ratio:.1f}x"])
    return table(rows)


def steps(samples: Sequence[Sample]) -> str:
    """Wall and CPU of each handler by itself."""
    rows: Table = [["Packages", "Added latency", "", "Handler", "Wall s", "CPU s", "Peak MiB"]]
    for case, group in _by_case(samples):
        if case.subject != "sluice":
            continue
        for name, usages in _usages(group).items():
            rows.append(
                [
                    f"{case.packages:,}",
                    f"{case.latency_ms:g} ms",
                    case.temperature,
                    name,
                    _middle((usage.wall_s for usage in usages), digits=3),
                    _middle((usage.cpu_s for usage in usages), digits=3),
                    _middle((usage.peak_mib for usage in usages), digits=0),
                ]
            )
    return table(rows)


def operations(samples: Sequence[Sample]) -> str:
    """Requests and bytes by operation, of the last run of each subject."""
    rows: Table = [["Packages", "Indexed by", "Operation", "Requests", "KiB up", "KiB down"]]
    last = {(sample.case.packages, sample.case.who): sample.requests for sample in samples}
    for (packages, subject), requests in last.items():
        for name, count in sorted(requests.items()):
            rows.append([f"{packages:,}", subject, name, *_counts(count)])
    return table(rows)


def published(samples: Sequence[Sample]) -> str:
    """Sizes of the index files after the last run of each subject."""
    last = {(sample.case.packages, sample.case.subject): sample.published for sample in samples}
    names = list(next(iter(last.values())))
    rows: Table = [["Packages", "Indexed by", *(f"{name}, KiB" for name in names)]]
    rows.extend(
        [f"{packages:,}", subject, *(f"{sizes[name] / 1024:,.1f}" for name in names)]
        for (packages, subject), sizes in last.items()
    )
    return table(rows)


def large(readings: Iterable[Reading], payload_mib: int) -> str:
    """What reading a large package costs."""
    rows: Table = [
        ["Package", "Uploaded with", "S3 requests", "MiB moved", "Wall s", "Peak MiB", "Before"]
    ]
    rows.extend(
        [
            f".conda of {payload_mib:,} MiB",
            reading.how,
            str(s3_requests(reading.requests)),
            f"{(total.bytes_up + total.bytes_down) / MIB:,.3f}",
            f"{reading.usage.wall_s:.2f}",
            f"{reading.usage.peak_mib:.0f}",
            f"{reading.imports.peak_mib:.0f}",
        ]
        for reading in readings
        for total in [_s3_total(reading.requests)]
    )
    return table(rows)


def s3_requests(requests: Mapping[str, Count]) -> int:
    """How many requests went to S3."""
    return _s3_total(requests).requests


def _s3_total(requests: Mapping[str, Count]) -> Count:
    total = Count()
    for name, count in requests.items():
        if name.startswith("s3:"):
            total.requests += count.requests
            total.bytes_up += count.bytes_up
            total.bytes_down += count.bytes_down
    return total


def _by_case(samples: Sequence[Sample]) -> list[tuple[Case, list[Sample]]]:
    def key(sample: Sample) -> tuple[float | str, ...]:
        case = sample.case
        return case.packages, -case.latency_ms, case.subject, case.temperature

    return [
        (group[0].case, group)
        for _, members in groupby(sorted(samples, key=key), key=key)
        for group in [list(members)]
    ]


def _usages(group: Sequence[Sample]) -> dict[str, list[Usage]]:
    """By the name of the process, one for each sample."""
    names = group[0].indexed.runs
    return {name: [sample.indexed.runs[name] for sample in group] for name in names}


def _middle(values: Iterable[float], *, digits: int = 2) -> str:
    return f"{median(values):.{digits}f}"


def _spread(values: Iterable[float], *, digits: int = 2) -> str:
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    middle = _middle(ordered, digits=digits)
    return middle if low == high else f"{middle} ({low:.{digits}f} to {high:.{digits}f})"


def _peaks(group: Sequence[Sample]) -> str:
    return " / ".join(
        _middle((usage.peak_mib for usage in usages), digits=0)
        for usages in _usages(group).values()
    )


def _counts(count: Count) -> list[str]:
    return [str(count.requests), f"{count.bytes_up / 1024:,.1f}", f"{count.bytes_down / 1024:,.1f}"]
