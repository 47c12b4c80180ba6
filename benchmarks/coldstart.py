"""``python -m benchmarks.coldstart``: from the start of Python to a handler, and to S3's answer.

Each function is started again and again in new processes of an interpreter that has the layer
and nothing else: the layer as ``sam build`` makes it, from its pinned requirements, with bytecode.
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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks import results
from benchmarks.cases import Case, Sample
from benchmarks.channel import SUBDIR, MadeUpChannel
from benchmarks.conditions import load_average, observe
from benchmarks.emulator import Cloud, cloud
from benchmarks.environment import client_variables, variables
from benchmarks.messages import upload_event
from benchmarks.processes import ROOT, leave_in_order_when_terminated
from benchmarks.report import COLD_START, cold_starts
from benchmarks.subjects import CHANNEL, Sluice
from benchmarks.worker import FUNCTIONS

BUDGET_MS = 400
_CHILD = Path(__file__).with_name("coldstart_child.py")
_LAYER = ROOT / "layers" / "sluice"
_VERSIONS = ("boto3", "msgspec", "zstandard")
_NAMES = ("extract", "merge", "reconcile")


@dataclass(frozen=True, slots=True)
class Runtime:
    """An interpreter with the layer, and the functions beside it."""

    python: Path
    layer: Path
    functions: Path

    @classmethod
    def build(cls, folder: Path) -> Runtime:
        """Make all of it below a folder; asks the package index for wheels."""
        venv, layer, functions = (folder / name for name in ("venv", "layer", "functions"))
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        make = [
            *("make", "--silent", "--directory", str(_LAYER), "build-SluiceLayer"),
            f"ARTIFACTS_DIR={layer}",
            f"SLUICE_PYTHON={sys.executable}",
            f"SLUICE_RUNTIME=python{sys.version_info.major}.{sys.version_info.minor}",
            "SLUICE_WHEELS=host",
        ]
        made = subprocess.run(make, capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"the layer could not be made: {made.stderr}")
        for name in _NAMES:
            # Not where they are: bytecode may lie there, and Lambda has none of app.py.
            (functions / name).mkdir(parents=True)
            shutil.copy(FUNCTIONS / name / "app.py", functions / name)
        return cls(venv / "bin" / "python", layer / "python", functions)

    def start(
        self, name: str, event: Mapping[str, Any], environment: Mapping[str, str], log: IO[bytes]
    ) -> dict[str, float]:
        """Start one function, and let it handle an event; what the child tells."""
        run = subprocess.run(
            [self.python, "-P", _CHILD, self.functions / name, json.dumps(event)],
            # Nothing of ours: only what Lambda sets.
            env={
                **environment,
                "PATH": os.defpath,
                "PYTHONPATH": str(self.layer),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdout=subprocess.PIPE,
            stderr=log,
            check=True,
        )
        told: dict[str, float] = json.loads(run.stdout)
        return told


def main() -> int:
    """Measure as the command line says; returns the exit status."""
    arguments = _arguments()
    leave_in_order_when_terminated()
    command = " ".join(["python", "-m", "benchmarks.coldstart", *sys.argv[1:]])
    conditions = observe(command=command, load_before=load_average(), packages=_VERSIONS)
    with (
        tempfile.TemporaryDirectory(prefix="sluice-coldstart-") as folder,
        (Path(folder) / "functions.log").open("wb") as log,
        cloud(Path(folder)) as aws,
    ):
        runtime = Runtime.build(Path(folder))
        found = measure(aws, runtime, arguments.runs, log)
    kept = results.read(arguments.output)
    for case, samples in found.items():
        kept.take(case, conditions, samples)
    results.write(arguments.output, kept)
    measured = kept.of(*(case.operation for case in found))
    print(cold_starts(measured))
    print(f"\nThe budget until a handler is imported: {BUDGET_MS} ms.")
    slow = [one.case.operation for one in measured if 1000 * one.median_init_s > BUDGET_MS]
    for operation in slow:
        print(f"{operation} is above it", file=sys.stderr)
    return 1 if slow else 0


def measure(aws: Cloud, runtime: Runtime, runs: int, log: IO[bytes]) -> dict[Case, list[Sample]]:
    """Start the functions in turn; the first start of each does not count."""
    sluice = Sluice(aws, "coldstart", log)
    for bucket in sluice.buckets:
        aws.s3.create(bucket)
    package = next(MadeUpChannel(1).packages())
    key = f"{CHANNEL}/{package.path}"
    aws.s3.load([sluice.bucket], [(key, package.body)])
    events = {
        "extract": upload_event(sluice.bucket, key, len(package.body)),
        "merge": json.loads((ROOT / "events" / "merge-request.json").read_text()),
        "reconcile": {"channel": CHANNEL, "subdir": SUBDIR, "dry_run": True},
    }
    found: dict[Case, list[Sample]] = defaultdict(list)
    for number in range(runs + 1):
        for name in _NAMES:
            environment = client_variables(aws) | variables(
                name, sluice.bucket, sluice.state_bucket, sluice.queues()
            )
            aws.take()
            told = runtime.start(name, events[name], environment, log)
            taken = aws.take()
            if taken.first_answer is None:
                raise RuntimeError(f"{name} asked S3 for nothing")
            sample = Sample(
                works={},
                init_s=told["wall_s"],
                requests=taken.counts,
                facts={
                    "cpu_s": told["cpu_s"],
                    "first_answer_s": taken.first_answer - told["started"],
                },
            )
            if number:
                found[Case(f"{COLD_START}{name}", 1, 0.0, sluice.name, "cold")].append(sample)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coldstart", description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="measured starts of each function")
    parser.add_argument("--output", type=Path, default=results.PATH)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
