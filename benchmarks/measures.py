"""What ``make bench`` measures: a function for each operation, by its name on the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping

from benchmarks.cases import TYPICAL_LATENCY_MS, Case, Sample, Work
from benchmarks.channel import patches_in_force
from benchmarks.processes import worker
from benchmarks.published import check
from benchmarks.stage import Measurements, Stage
from benchmarks.subjects import CHANNEL, Temperature, rattler_index
from benchmarks.worker import CONDA_INDEX
from testkit.child_process import ROOT
from testkit.made_up import SUBDIR

ON_THEIR_OWN = frozenset({"import", "index"})
"""Those that begin with buckets of packages that nobody has indexed, and read all of them."""
INDEX_FIRST, INDEX_ONE_MORE = "index-first", "index-one-more"
_LATENCIES_MS = (TYPICAL_LATENCY_MS, 0.0)
_CONDA_INDEX_PYTHON = ROOT / ".venv-conda-index" / "bin" / "python"
_COUNTED_IN_ANY_RECONCILE = frozenset({"subdirs", "objects"})


def take_over(stage: Stage) -> Measurements:
    """The first run over a channel that somebody else has indexed: what all others begin with.

    sluice takes over every record and makes its catalog; rattler-index writes every shard.
    """
    for subject in stage.subjects:
        case = Case("take-over", stage.size, 0.0, subject.name, "cold")
        with subject.session() as session:
            sample = stage.measure(case, subject, session, stage.changes.upload(0))
        stage.keep(subject)
        yield case, sample


def upload(stage: Stage) -> Measurements:
    """One new build of a name that is there, cold and warm."""
    both: tuple[Temperature, ...] = ("cold", "warm")
    for latency_ms in _LATENCIES_MS:
        changes = stage.changes.upload
        yield from stage.repeat("upload", changes, latency_ms=latency_ms, temperatures=both)


def overwrite(stage: Stage) -> Measurements:
    """Other content under a filename that is there; rattler-index has to read everything."""
    cloud, bucket, log = stage.bench.cloud, stage.rattler.bucket, stage.bench.log
    subjects = (stage.sluice, rattler_index(cloud, bucket, log, force=True))
    yield from stage.repeat("overwrite", stage.changes.overwrite, of=subjects)


def removal(stage: Stage) -> Measurements:
    """One package that is deleted."""
    yield from stage.repeat("removal", stage.changes.removal)


def burst(stage: Stage) -> Measurements:
    """A thousand small packages: one extract after the other, then every merge asked for.

    Without latency, for a thousand invocations one after the other would mostly wait.
    """
    yield from stage.repeat("burst", stage.changes.burst, latency_ms=0.0)


def patch(stage: Stage) -> Measurements:
    """Another version of the package that patches a channel's metadata; sluice alone."""
    case = Case("patch", stage.size, TYPICAL_LATENCY_MS, stage.sluice.name, "warm")
    for number in range(stage.runs):
        stage.reset(stage.sluice)
        with stage.sluice.session() as session:
            for change in (patches_in_force(), stage.changes.patch(1)):
                stage.make(stage.sluice, change)
                session.index(change)
            second = stage.changes.patch(2 + number)
            yield case, stage.measure(case, stage.sluice, session, second)


def first_import(stage: Stage) -> Measurements:
    """Have every package read, once; then reconcile, which from then on has nothing to do."""
    for subject in stage.subjects:
        yield from stage.import_all("import", subject, latency_ms=0.0)
    yield from _conda_index(stage)
    for number in range(stage.runs + 1):
        case, sample = _reconcile(stage)
        if number:  # a first look does not count
            yield case, sample


def index(stage: Stage) -> Measurements:
    """``sluice index`` beside rattler-index: a bucket not indexed yet, then one package more.

    Both run as people run them: one process that looks at the whole channel, and that nobody tells
    what has changed.
    """
    subjects = (stage.by_hand, stage.rattler)
    for latency_ms in _LATENCIES_MS:
        for _ in range(stage.runs):
            for subject in subjects:
                yield from stage.import_all(INDEX_FIRST, subject, latency_ms)
        for subject in subjects:
            stage.keep(subject)
        changes = stage.changes.upload
        yield from stage.repeat(INDEX_ONE_MORE, changes, latency_ms=latency_ms, of=subjects)
    stage.drop(stage.by_hand)


MEASURES: Mapping[str, Callable[[Stage], Measurements]] = {
    "take-over": take_over,
    "upload": upload,
    "overwrite": overwrite,
    "removal": removal,
    "burst": burst,
    "patch": patch,
    "import": first_import,
    "index": index,
}
"""In the order in which they are carried out; ``take-over`` prepares the others."""


def _conda_index(stage: Stage) -> Measurements:
    """conda-index, where it is there, over files: it knows nothing else."""
    if not _CONDA_INDEX_PYTHON.exists():
        stage.bench.say("no conda-index: make conda-index")
        return
    case = Case("import", stage.size, 0.0, f"{CONDA_INDEX}, on files", "cold")
    change, folder = stage.changes.everything(), stage.bench.scratch / CONDA_INDEX
    for subdir in (SUBDIR, "noarch"):
        (folder / subdir).mkdir(parents=True)
    for path, body in change.put.items():
        (folder / path).write_bytes(body)
    with worker(CONDA_INDEX, {}, stage.bench.log, _CONDA_INDEX_PYTHON) as process:
        usage = process.run(str(folder))
    sizes = check(lambda name: (folder / SUBDIR / name).read_bytes(), change.expected)
    shutil.rmtree(folder)
    stage.bench.say(f"{case}: {usage.wall_s:.2f} s")
    works = {CONDA_INDEX: Work.of(usage)}
    yield case, Sample(works=works, init_s=0, requests={}, published=sizes, facts=change.facts)


def _reconcile(stage: Stage) -> tuple[Case, Sample]:
    """Look at a subdir in which everything is in order."""
    case = Case("reconcile", stage.size, TYPICAL_LATENCY_MS, stage.sluice.name, "cold")
    cloud = stage.bench.cloud
    with stage.sluice.function("reconcile") as function:
        cloud.take(latency_ms=case.latency_ms)
        usage = function.run({"channel": CHANNEL, "subdir": SUBDIR})
        requests = cloud.take().counts
    counts = usage.answer["counts"]
    if usage.answer["finished_at"] is None or counts["objects"] != stage.size:
        raise RuntimeError(f"reconcile did not look at everything: {usage.answer}")
    if any(count for name, count in counts.items() if name not in _COUNTED_IN_ANY_RECONCILE):
        raise RuntimeError(f"reconcile found something to do: {counts}")
    stage.bench.say(f"{case}: {usage.wall_s:.2f} s")
    works, init_s = {"reconcile": Work.of(usage)}, function.imports.wall_s
    return case, Sample(works=works, init_s=init_s, requests=requests)
