"""``python -m benchmarks.coldstart``: from the start of Python to a handler, and to S3's answer.

Each function is started again and again in new processes of an interpreter that has the layer
and nothing else: the layer as ``sam build`` makes it, from its pinned requirements, with bytecode
or without.
Exits with 1 where the median of importing a handler is above the budget.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import IO, Any

from benchmarks import results
from benchmarks.cases import COLD_START, Case, Sample
from benchmarks.emulator import Cloud, cloud
from benchmarks.functions import upload_event
from benchmarks.processes import leave_in_order_when_terminated
from benchmarks.report import cold_starts
from benchmarks.subjects import CHANNEL, Sluice
from benchmarks.worker import FUNCTIONS
from testkit.child_process import ROOT
from testkit.made_up import SUBDIR, packages

BUDGET_MS = 400
_CHILD = Path(__file__).with_name("coldstart_child.py")
_VERSIONS = ("boto3", "msgspec", "zstandard")
_NAMES = ("extract", "merge", "reconcile")

Start = Callable[[str, Mapping[str, Any], Mapping[str, str]], dict[str, float]]
"""Start a function with an event and variables; the output of ``coldstart_child.py``."""


def runtime(folder: Path, log: IO[bytes], *, bytecode: bool) -> Start:
    """Make an interpreter, the layer and the functions; asks the package index for wheels."""
    venv, layer, functions = (folder / name for name in ("venv", "layer", "functions"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    make = [
        *("make", "--silent", "--directory", str(ROOT / "layers" / "sluice"), "build-SluiceLayer"),
        f"ARTIFACTS_DIR={layer}",
        f"SLUICE_PYTHON={sys.executable}",
        f"SLUICE_RUNTIME=python{sys.version_info.major}.{sys.version_info.minor}",
        "SLUICE_WHEELS=host",
    ]
    made = subprocess.run(make, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"the layer could not be made: {made.stderr}")
    if not bytecode:
        for cached in layer.rglob("__pycache__"):
            shutil.rmtree(cached)
    for name in _NAMES:
        # Not where they are: bytecode may lie there, and Lambda has none of app.py.
        (functions / name).mkdir(parents=True)
        shutil.copy(FUNCTIONS / name / "app.py", functions / name)
    # Nothing of ours: only what Lambda sets.
    common = {"PATH": os.defpath, "PYTHONPATH": f"{layer}/python", "PYTHONDONTWRITEBYTECODE": "1"}

    def start(name: str, event: Mapping[str, Any], variables: Mapping[str, str]) -> Any:
        child = [f"{venv}/bin/python", "-P", str(_CHILD), f"{functions}/{name}", json.dumps(event)]
        environment = {**variables, **common}
        run = subprocess.run(child, env=environment, stdout=subprocess.PIPE, stderr=log, check=True)
        return json.loads(run.stdout)

    return start


def measure(aws: Cloud, start: Start, runs: int, log: IO[bytes]) -> dict[Case, list[Sample]]:
    """Start the functions in turn; the first start of each does not count."""
    sluice = Sluice(aws, "coldstart", log)
    for bucket in sluice.buckets:
        aws.s3.create(bucket)
    package = next(packages(1))
    key = f"{CHANNEL}/{package.path}"
    aws.s3.load([sluice.bucket], [(key, package.body)])
    events = {
        "extract": upload_event(sluice.bucket, key, len(package.body)),
        "merge": json.loads((ROOT / "events" / "merge-request.json").read_text()),
        "reconcile": {"channel": CHANNEL, "subdir": SUBDIR, "dry_run": True},
    }
    samples: dict[Case, list[Sample]] = defaultdict(list)
    for number in range(runs + 1):
        for name in _NAMES:
            variables = sluice.environment(name)
            aws.take()
            times = start(name, events[name], variables)
            taken = aws.take()
            if taken.first_answer is None:
                raise RuntimeError(f"{name} asked S3 for nothing")
            first_answer_s = taken.first_answer - times["started"]
            if number:
                case = Case(f"{COLD_START}{name}", 1, 0.0, sluice.name, "cold")
                facts = {"cpu_s": times["cpu_s"], "first_answer_s": first_answer_s}
                init_s, counts = times["wall_s"], taken.counts
                sample = Sample(works={}, init_s=init_s, requests=counts, facts=facts)
                samples[case].append(sample)
    return samples


def main() -> int:
    """Measure as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coldstart", description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="measured starts of each function")
    parser.add_argument("--output", type=Path, default=results.PATH)
    parser.add_argument(
        "--no-bytecode",
        action="store_true",
        help="of a layer that was made without the runtime's Python; the result is only printed",
    )
    options = parser.parse_args()
    leave_in_order_when_terminated()
    command = " ".join(["python", "-m", "benchmarks.coldstart", *sys.argv[1:]])
    conditions = results.observe(command, *_VERSIONS)
    with (
        tempfile.TemporaryDirectory(prefix="sluice-coldstart-") as folder,
        (Path(folder) / "functions.log").open("wb") as log,
        cloud(Path(folder)) as aws,
    ):
        samples = measure(
            aws, runtime(Path(folder), log, bytecode=not options.no_bytecode), options.runs, log
        )
    kept = results.Results() if options.no_bytecode else results.read(options.output)
    for case, of in samples.items():
        kept.take(case, conditions, of)
    if not options.no_bytecode:
        results.write(options.output, kept)
    print(cold_starts(kept.of(*(case.operation for case in samples))))
    print(f"\nThe budget until a handler is imported: {BUDGET_MS} ms.")
    if options.no_bytecode:
        return 0
    slow = [
        case.operation
        for case, of in samples.items()
        if 1000 * median(sample.init_s for sample in of) > BUDGET_MS
    ]
    for operation in slow:
        print(f"{operation} is above it", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
