"""What conda-index takes for a first import: on the file system, which is all that it knows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cases import Case, Sample
from benchmarks.changes import Change
from benchmarks.channel import SUBDIR
from benchmarks.processes import ROOT
from benchmarks.published import check
from benchmarks.stage import Samples, Stage
from benchmarks.work import Work
from benchmarks.worker import Usage

_PYTHON = ROOT / ".venv-conda-index" / "bin" / "python"


def measure(stage: Stage) -> Samples:
    """Let it index every package of the channel, where it is there (``make conda-index``)."""
    if not _PYTHON.exists():
        stage.bench.say("no conda-index: make conda-index")
        return
    case = Case("import", stage.size, 0.0, "conda-index, on files", "cold")
    change = stage.changes.everything()
    with _folder(stage.bench.scratch / "conda-index", change) as folder:
        run = subprocess.run(
            [_PYTHON, "-m", "benchmarks.conda_index_child", folder],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=stage.bench.log,
            check=True,
        )
        usage = Usage(**json.loads(run.stdout))
        sizes = check(lambda name: (folder / SUBDIR / name).read_bytes(), change.expected)
    stage.bench.say(f"{case}: {usage.wall_s:.2f} s")
    works = {"conda-index": Work.of([usage])}
    yield case, Sample(works=works, init_s=0, requests={}, published=sizes, facts=change.facts)


@contextmanager
def _folder(folder: Path, change: Change) -> Iterator[Path]:
    """Put the packages into a folder while in the context."""
    for subdir in (SUBDIR, "noarch"):
        (folder / subdir).mkdir(parents=True)
    for path, body in change.put.items():
        (folder / path).write_bytes(body)
    yield folder
    shutil.rmtree(folder)
