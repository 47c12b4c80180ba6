"""``python -m benchmarks.load``: many uploads at once into the whole local stack.

One uploader puts packages as fast as the emulator takes them, in random order, so that each
debounce window touches as many names as it can.  The functions reach S3 and SQS through the
counting proxy; the uploads themselves do not, nor does what Lambda's poller does.  Writes
``results-load.md``.  Exits with 1 where a package was lost, anything was left behind or the
functions needed more S3 requests than they may.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks.emulator import port_of
from benchmarks.markdown import table
from benchmarks.processes import Say, progress
from benchmarks.results import observe
from local.stack import Stack, run_stack
from sluice.layout import parse_package_key
from testkit.channel import Package
from testkit.counts import Count
from testkit.deployed import Channel, Deployed, LogLine
from testkit.made_up import packages as made_up_packages
from testkit.proxy import Counter, counter

RESULTS = Path(__file__).with_name("results-load.md")
SUBDIRS = (
    *("linux-64", "osx-arm64", "win-64", "noarch", "linux-aarch64"),
    *("osx-64", "linux-ppc64le", "win-arm64", "linux-s390x", "emscripten-wasm32"),
)
"""The first so many are uploaded to."""
S3_REQUESTS_PER_PACKAGE_MAX = 12
"""Of both functions together."""
_DEBOUNCE_SECONDS = 10
"""The template's default."""
_SECONDS_MAX = 3600.0
_UPLOAD_THREADS = 4
_VERSIONS = ("boto3", "msgspec", "zstandard", "ministack")

File = tuple[str, int]
"""MD5 and size: what both a listing and a record tell."""


class Difference(NamedTuple):
    """A file that is not the same everywhere."""

    path: str
    uploaded: File | None
    listed: File | None
    """In the bucket."""
    indexed: File | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one load."""

    packages: int
    subdirs: int
    uploaded_s: float
    """From the first upload to the last."""
    indexed_s: float
    """From the first upload until nothing was under way any more."""
    lost: list[Difference]
    """Compared file by file."""
    left: Mapping[str, int]
    """Messages in each queue, and records in ``staging``."""
    requests: Mapping[str, Count]
    """Of both functions, by operation."""
    merges: list[LogLine]
    """The log line of each merge."""
    generations: Mapping[str, int]
    """Of each subdir's index at the end."""

    @property
    def s3_requests_per_package(self) -> float:
        """Of both functions together; the upload itself is one more."""
        s3 = (count.requests for name, count in self.requests.items() if name.startswith("s3:"))
        return sum(s3) / self.packages


def measure(
    channel: Channel, packages: int, subdirs: int, *, seconds_max: float, say: Say
) -> Outcome:
    """Upload into an empty channel and wait until all is done.

    Raises ``TimeoutError`` where that takes longer than ``seconds_max``.
    """
    stack = channel.deployed.stack
    made = _packages(packages, SUBDIRS[:subdirs])
    say(f"{len(made):,} packages are made")
    with _counted(stack) as proxy:
        started = time.monotonic()
        with ThreadPoolExecutor(_UPLOAD_THREADS) as pool:
            list(pool.map(channel.upload, made))
        uploaded_s = time.monotonic() - started
        say(f"and uploaded, in {uploaded_s:.1f} s")
        _wait_until_done(channel, started + seconds_max, say)
        indexed_s = time.monotonic() - started
        requests = proxy.take()
    indexes = channel.indexes()
    staged = sum(len(channel.staged(subdir)) for subdir in indexes)
    uploaded = {
        package.path: (md5(package.body, usedforsecurity=False).hexdigest(), len(package.body))
        for package in made
    }
    indexed = {
        f"{subdir}/{filename}": (record["md5"], record["size"])
        for subdir, index in indexes.items()
        for filename, record in index.records.items()
    }
    return Outcome(
        packages=len(made),
        subdirs=subdirs,
        uploaded_s=uploaded_s,
        indexed_s=indexed_s,
        lost=differences(uploaded, _listed(channel), indexed),
        left={**channel.deployed.depths(), "staging": staged},
        requests=requests,
        merges=channel.deployed.lines(stack.merge_function, channel=channel.name, message="merged"),
        generations={subdir: index.generation for subdir, index in indexes.items()},
    )


def problems(outcome: Outcome) -> list[str]:
    """What must not be, a sentence each."""
    lines = [f"not the same everywhere: {one}" for one in outcome.lost]
    lines += [f"{depth:,} left in {where}" for where, depth in outcome.left.items() if depth]
    if outcome.s3_requests_per_package > S3_REQUESTS_PER_PACKAGE_MAX:
        lines.append(f"{outcome.s3_requests_per_package:.2f} S3 requests per package")
    return lines


def differences(
    uploaded: Mapping[str, File], listed: Mapping[str, File], indexed: Mapping[str, File]
) -> list[Difference]:
    """Compare file by file, each of them by path."""
    compared = (
        Difference(path, uploaded.get(path), listed.get(path), indexed.get(path))
        for path in sorted({*uploaded, *listed, *indexed})
    )
    return [one for one in compared if not one.uploaded == one.listed == one.indexed]


def _packages(count: int, subdirs: Sequence[str]) -> list[Package]:
    """Packages with the proportions of a real channel in each subdir, shuffled."""
    each, more = divmod(count, len(subdirs))
    made = [
        package
        for number, subdir in enumerate(subdirs)
        for package in made_up_packages(each + (number < more), subdir)
    ]
    random.Random(count).shuffle(made)  # noqa: S311 - made-up data, not a secret
    return made


@contextmanager
def _counted(stack: Stack) -> Iterator[Counter]:
    """Lead both functions through a counting proxy while in the context."""
    names = (stack.extract_function, stack.merge_function)
    configuration = stack.functions.get_function_configuration
    before = {name: configuration(FunctionName=name)["Environment"]["Variables"] for name in names}

    def update(**more: str) -> None:
        for name, variables in before.items():
            stack.functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": {**variables, **more}}
            )

    with counter(port_of(stack.endpoint)) as proxy:
        update(AWS_ENDPOINT_URL=proxy.endpoint)
        try:
            yield proxy
        finally:
            update()


def _wait_until_done(channel: Channel, deadline: float, say: Say) -> None:
    """Wait until the queues of work are empty, and say now and then how far it is."""
    for poll in range(sys.maxsize):
        depths = channel.deployed.depths()
        # In this order messages beget messages, and what was seen empty stays so.
        if not any(depth for queue, depth in depths.items() if not queue.endswith("Dlq")):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done in time: {depths}")
        if poll % 15 == 14:
            say(", ".join(f"{queue} {depth:,}" for queue, depth in depths.items()))
        time.sleep(1)


def _listed(channel: Channel) -> dict[str, File]:
    stack = channel.deployed.stack
    pages = stack.s3.get_paginator("list_objects_v2").paginate(
        Bucket=stack.channel_bucket, Prefix=channel.prefix
    )
    return {
        # The ETag of an upload in one part is its MD5.
        entry["Key"].removeprefix(channel.prefix): (entry["ETag"].strip('"'), entry["Size"])
        for page in pages
        for entry in page.get("Contents", ())
        if parse_package_key(entry["Key"])
    }


def _report(outcome: Outcome, extracts_ms: Sequence[float], errors: Sequence[str]) -> str:
    published = [line["duration_ms"] for line in outcome.merges if line["files_written"]]
    idle = [line["duration_ms"] for line in outcome.merges if not line["files_written"]]
    totals = [
        ["Packages", f"{outcome.packages:,} over {outcome.subdirs} subdirs"],
        ["Lost", f"{len(outcome.lost):,}"],
        *([f"Left in {where}", f"{depth:,}"] for where, depth in outcome.left.items()),
        ["Errors logged", f"{len(errors):,}"],
        ["Uploaded within", f"{outcome.uploaded_s:.0f} s"],
        ["Indexed within", f"{outcome.indexed_s:.0f} s"],
        ["Generations", f"{sum(outcome.generations.values()):,}"],
        ["S3 requests per package", f"{outcome.s3_requests_per_package:.2f}"],
        ["Extract, ms", _durations(extracts_ms)],
        ["Merges that published, ms", _durations(published)],
        ["Merges with nothing to do, ms", _durations(idle)],
    ]
    requests = [
        [name, f"{count.requests:,}", f"{count.requests / outcome.packages:.3f}"]
        for name, count in sorted(outcome.requests.items())
    ]
    by_operation = table([["Operation", "Requests", "Per package"], *requests])
    return f"{table([['', ''], *totals])}\n\n## Requests\n\n{by_operation}"


def _durations(values: Iterable[float]) -> str:
    ordered = sorted(values)
    if len(ordered) < 2:
        return ", ".join(f"{value:,.0f}" for value in ordered) or "none"
    p95 = quantiles(ordered, n=20, method="inclusive")[-1]
    return (
        f"median {median(ordered):,.0f}, p95 {p95:,.0f}, most {ordered[-1]:,.0f} "
        f"({len(ordered):,} of them)"
    )


def main() -> int:
    """Measure as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--packages", type=int, default=10_000)
    parser.add_argument("--subdirs", type=int, default=5, choices=range(1, len(SUBDIRS) + 1))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    command = f"make load PACKAGES={options.packages} SUBDIRS={options.subdirs}"
    conditions, say = observe(command, *_VERSIONS), progress()

    with (
        tempfile.TemporaryDirectory(prefix="sluice-load-") as folder,
        run_stack(Path(folder), debounce_seconds=_DEBOUNCE_SECONDS, say=say) as stack,
    ):
        deployed = Deployed(stack)
        deployed.wait_until_quiet()  # S3 has sent its test event
        outcome = measure(
            Channel(deployed, "load"),
            options.packages,
            options.subdirs,
            seconds_max=_SECONDS_MAX,
            say=say,
        )
        errors = deployed.errors()
        body = _report(outcome, deployed.durations_ms(stack.extract_function), errors)
    print(body)
    preface = "Written by `make load`; each number is explained in [README.md](README.md)."
    parts = ["# Load test results", preface, conditions.table(), "## Outcome", body]
    options.output.write_text("\n\n".join(parts) + "\n")
    failures = problems(outcome)
    for line in [*failures, *errors]:
        print(line, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
