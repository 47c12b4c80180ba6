"""From what was measured to what it costs: by the upload, and by the month.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

from benchmarks import metering
from benchmarks.bill import Bill
from benchmarks.cases import Case, Sample
from benchmarks.prices import LAMBDA_GB_S
from benchmarks.report import COLD_START
from benchmarks.results import Results
from benchmarks.stage import TYPICAL_LATENCY_MS
from benchmarks.subjects import SLUICE
from benchmarks.work import Work
from benchmarks.worker import RATTLER_INDEX

FUNCTIONS = ("extract", "merge", "reconcile")
STARTED_BY_A_BURST = 50
"""Extracts that a burst finds cold: ``ExtractConcurrency``."""
JOB_SETUP_S = 30
"""Assumed of a CI job before rattler-index begins: a machine, a checkout, the tool."""
_RESULTS = "benchmarks/results.json"


class Missing(RuntimeError):
    """Something has not been measured; says what to run."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A channel: one subdir, and what happens to it in a month."""

    name: str
    packages: int
    uploads: int
    in_bursts: float
    """Share of the uploads that come a thousand at once."""


SCENARIOS = (
    Scenario("small", packages=1_000, uploads=100, in_bursts=0),
    Scenario("medium", packages=10_000, uploads=3_000, in_bursts=0.2),
    Scenario("like conda-forge", packages=500_000, uploads=30_000, in_bursts=0.9),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one upload costs, in one way of indexing it."""

    who: str
    bill: Bill
    memory_mb: int
    """Of the process that publishes."""
    job_minutes: float | None = None
    """Of a CI job."""
    too_long: bool = False
    """Whether Lambda would have stopped a function before it was done."""


@dataclass(frozen=True, slots=True)
class Size:
    """What there is to pay for in a channel of so many packages."""

    packages: int
    cold: Cost
    warm: Cost
    burst: Cost
    """Each package of a burst."""
    theirs: Cost
    theirs_burst: Cost
    """Each package of a burst, after all of which rattler-index runs once."""
    at_rest: Bill
    """A month of the catalog, and of one old version of each index file."""
    reconcile: Bill | None
    """One run that finds nothing to do; ``None``: not measured."""

    @property
    def costs(self) -> tuple[Cost, ...]:
        """By the upload."""
        return self.cold, self.warm, self.burst, self.theirs, self.theirs_burst


@dataclass(frozen=True, slots=True)
class Month:
    """A scenario's month."""

    scenario: Scenario
    uploads: Bill
    at_rest: Bill
    reconcile: Bill | None
    polling: Bill
    theirs: Bill
    """rattler-index after each upload."""
    theirs_minutes: float
    theirs_once: Bill
    """rattler-index after each upload that comes alone, and once after each burst."""
    theirs_once_minutes: float

    @property
    def ours(self) -> Bill:
        """All of sluice's."""
        return self.uploads + self.at_rest + (self.reconcile or Bill()) + self.polling


def sizes(results: Results) -> list[Size]:
    """Those of the scenarios, and every other of which all is known.

    Raises ``Missing`` where it is not known of those of the scenarios.
    """
    needed = {scenario.packages for scenario in SCENARIOS}
    expect(results, needed)
    found = _cases(results)
    measured = {case.packages for case in found if case.operation == "upload"}
    complete = {size for size in measured if set(_needed(size)) <= found}
    return [_size(results, packages) for packages in sorted(needed | complete)]


def expect(results: Results, packages: set[int]) -> None:
    """Raise ``Missing`` unless everything is there that the cost of these sizes takes."""
    found = _cases(results)
    lacking: list[str] = []
    if any(_cold_start(name) not in found for name in FUNCTIONS):
        lacking.append("cold starts: make coldstart")
    for size in sorted(packages):
        cases = [case for case in _needed(size) if case not in found]
        if cases:
            names = ", ".join(sorted({f"{case.operation} ({case.who})" for case in cases}))
            command = f'make bench SIZES={size} BENCH="--operations upload burst --large-mib 0"'
            lacking.append(f"{size:,} packages, {names}: {command}")
    if lacking:
        told = "\n".join(f"  {line}" for line in lacking)
        raise Missing(f"{_RESULTS} does not hold all that costs are made of; measure\n{told}")


def month(scenario: Scenario, size: Size) -> Month:
    """What a month of a scenario comes to, in a channel of its size."""
    at_once = scenario.in_bursts * scenario.uploads
    alone = scenario.uploads - at_once
    theirs, theirs_burst = size.theirs, size.theirs_burst
    minutes, burst_minutes = theirs.job_minutes or 0, theirs_burst.job_minutes or 0
    return Month(
        scenario,
        uploads=size.cold.bill.times(alone) + size.burst.bill.times(at_once),
        at_rest=size.at_rest,
        reconcile=size.reconcile and size.reconcile.times(metering.DAYS_A_MONTH),
        polling=metering.idle_polling(),
        theirs=theirs.bill.times(scenario.uploads),
        theirs_minutes=minutes * scenario.uploads,
        theirs_once=theirs.bill.times(alone) + theirs_burst.bill.times(at_once),
        theirs_once_minutes=minutes * alone + burst_minutes * at_once,
    )


def job_minutes(sample: Sample) -> int:
    """What a CI job takes, in minutes that have begun."""
    return ceil((JOB_SETUP_S + sample.init_s + sample.wall_s) / 60)


def _cases(results: Results) -> set[Case]:
    return {one.case for one in results.cases}


def _upload(packages: int, subject: str = SLUICE, temperature: str = "cold") -> Case:
    return Case("upload", packages, TYPICAL_LATENCY_MS, subject, temperature)


def _burst(packages: int, subject: str = SLUICE) -> Case:
    return Case("burst", packages, 0.0, subject, "cold")


def _take_over(packages: int) -> Case:
    return Case("take-over", packages, 0.0, SLUICE, "cold")


def _cold_start(name: str) -> Case:
    return Case(f"{COLD_START}{name}", 1, 0.0, SLUICE, "cold")


def _needed(packages: int) -> Iterator[Case]:
    yield _take_over(packages)
    yield _upload(packages, temperature="warm")
    for subject in (SLUICE, RATTLER_INDEX):
        yield _upload(packages, subject)
        yield _burst(packages, subject)


def _samples(results: Results, case: Case) -> Sequence[Sample]:
    return next((one.samples for one in results.cases if one.case == case), [])


def _init_s(results: Results) -> dict[str, float]:
    return {
        name: median(sample.init_s for sample in _samples(results, _cold_start(name)))
        for name in FUNCTIONS
    }


def _size(results: Results, packages: int) -> Size:
    init_s = _init_s(results)
    cold = _samples(results, _upload(packages))
    warm = _samples(results, _upload(packages, temperature="warm"))
    taken_over = _samples(results, _take_over(packages))
    return Size(
        packages,
        cold=_ours("sluice, alone, cold", cold, [_alone(one, init_s) for one in cold]),
        warm=_ours("sluice, alone, warm", warm, [_alone(one, {}) for one in warm]),
        burst=_of_a_burst(_samples(results, _burst(packages)), warm, init_s),
        theirs=_theirs(_samples(results, _upload(packages, RATTLER_INDEX))),
        theirs_burst=_theirs_of_a_burst(_samples(results, _burst(packages, RATTLER_INDEX))),
        at_rest=Bill.typical([_at_rest(one) for one in taken_over]),
        reconcile=_reconcile(results, packages, init_s),
    )


def _ours(who: str, samples: Sequence[Sample], bills: Sequence[Bill]) -> Cost:
    return Cost(
        who,
        Bill.typical(bills),
        memory_mb=_memory_mb("merge", samples),
        too_long=any(sample.over_time for sample in samples),
    )


def _alone(sample: Sample, init_s: dict[str, float]) -> Bill:
    return (
        metering.s3_requests(sample.requests)
        + metering.sqs_requests(sample)
        + metering.functions(sample.works, init_s)
        + metering.old_versions(sample)
    )


def _of_a_burst(
    samples: Sequence[Sample], alone: Sequence[Sample], init_s: dict[str, float]
) -> Cost:
    """For each package; its extract waits for S3 as one does that comes alone."""
    extracts = [_only(sample, "extract") for sample in alone]
    extract = Bill.typical([metering.functions(works, {}) for works in extracts])
    started = {"merge": init_s["merge"]}
    starts = STARTED_BY_A_BURST * init_s["extract"] * metering.MEMORY_MB["extract"] / 1024
    bills = [
        (
            metering.s3_requests(sample.requests)
            + metering.sqs_requests(sample)
            + metering.functions(_only(sample, "merge"), started)
            + Bill({LAMBDA_GB_S: starts})
            + metering.old_versions(sample)
        ).times(1 / sample.facts["packages"])
        + extract
        for sample in samples
    ]
    return _ours("sluice, in a burst", samples, bills)


def _only(sample: Sample, name: str) -> dict[str, Work]:
    return {name: sample.works[name]}


def _theirs(samples: Sequence[Sample]) -> Cost:
    return Cost(
        "rattler-index, after each upload",
        Bill.typical([metering.rattler_index(sample) for sample in samples]),
        memory_mb=_memory_mb(RATTLER_INDEX, samples),
        job_minutes=median(job_minutes(sample) for sample in samples),
    )


def _theirs_of_a_burst(samples: Sequence[Sample]) -> Cost:
    each = [1 / sample.facts["packages"] for sample in samples]
    bills = [
        metering.rattler_index(sample).times(share)
        for sample, share in zip(samples, each, strict=True)
    ]
    minutes = [job_minutes(sample) * share for sample, share in zip(samples, each, strict=True)]
    return Cost(
        "rattler-index, once after a burst",
        Bill.typical(bills),
        memory_mb=_memory_mb(RATTLER_INDEX, samples),
        job_minutes=median(minutes),
    )


def _memory_mb(name: str, samples: Sequence[Sample]) -> int:
    return max(metering.memory_mb(name, sample.works[name]) for sample in samples)


def _at_rest(sample: Sample) -> Bill:
    return metering.gb_months(metering.other_bytes(sample) + metering.index_bytes(sample))


def _reconcile(results: Results, packages: int, init_s: dict[str, float]) -> Bill | None:
    case = Case("reconcile", packages, TYPICAL_LATENCY_MS, SLUICE, "cold")
    bills = [
        metering.s3_requests(sample.requests)
        + metering.sqs_requests(sample)
        + metering.functions(sample.works, {"reconcile": init_s["reconcile"]})
        for sample in _samples(results, case)
    ]
    return Bill.typical(bills) if bills else None
