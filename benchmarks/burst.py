"""Many uploads at once into the whole deployed stack: what becomes of them, and what it takes.

One uploader puts packages as fast as the emulator takes them, in random order, so that each
debounce window touches as many names as it can.  The functions reach S3 and SQS through the
counting proxy; the uploads themselves do not, nor does what Lambda's poller does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from urllib.parse import urlsplit

from benchmarks.channel import MadeUpChannel
from benchmarks.counting import Counter, counter
from benchmarks.counts import Count
from benchmarks.emulator import put_all
from local.stack import Stack
from sluice.layout import parse_package_key
from testkit.published import Index
from tests.support.channel import Package
from tests.support.deployed import Channel, LogLine

SUBDIRS = (
    *("linux-64", "osx-arm64", "win-64", "noarch", "linux-aarch64"),
    *("osx-64", "linux-ppc64le", "win-arm64", "linux-s390x", "emscripten-wasm32"),
)
"""The first so many are uploaded to."""
S3_REQUESTS_PER_PACKAGE_MAX = 12
"""Of both functions together."""
_POLL_SECONDS = 1.0
_TOLD_SECONDS = 15.0

Say = Callable[[str], None]
File = tuple[str, int]
"""MD5 and size: what both a listing and a record tell."""


@dataclass(frozen=True, slots=True)
class Difference:
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
    """What merge told of itself, once for each merge."""
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
        objects = ((channel.key(package), package.body) for package in made)
        put_all(_port(stack), stack.channel_bucket, objects)
        uploaded_s = time.monotonic() - started
        say(f"and uploaded, in {uploaded_s:.1f} s")
        _wait_until_done(channel, started + seconds_max, say)
        indexed_s = time.monotonic() - started
        requests = proxy.take()
    indexes = channel.indexes()
    staged = sum(len(channel.staged(subdir)) for subdir in indexes)
    return Outcome(
        packages=len(made),
        subdirs=subdirs,
        uploaded_s=uploaded_s,
        indexed_s=indexed_s,
        lost=differences(_uploaded(made), _listed(channel), _indexed(indexes)),
        left={**channel.deployed.depths(), "staging": staged},
        requests=requests,
        merges=channel.deployed.lines(stack.merge_function, channel=channel.name, message="merged"),
        generations={subdir: index.generation for subdir, index in indexes.items()},
    )


def problems(outcome: Outcome) -> list[str]:
    """What must not be, a sentence each."""
    found = [f"not the same everywhere: {one}" for one in outcome.lost]
    found += [f"{depth:,} left in {where}" for where, depth in outcome.left.items() if depth]
    if outcome.s3_requests_per_package > S3_REQUESTS_PER_PACKAGE_MAX:
        found.append(f"{outcome.s3_requests_per_package:.2f} S3 requests per package")
    return found


def differences(
    uploaded: Mapping[str, File], listed: Mapping[str, File], indexed: Mapping[str, File]
) -> list[Difference]:
    """Compare file by file, each of them by path."""
    found = (
        Difference(path, uploaded.get(path), listed.get(path), indexed.get(path))
        for path in sorted({*uploaded, *listed, *indexed})
    )
    return [one for one in found if not one.uploaded == one.listed == one.indexed]


def _packages(count: int, subdirs: tuple[str, ...]) -> list[Package]:
    """Packages with the proportions of a real channel in each subdir, shuffled."""
    each, more = divmod(count, len(subdirs))
    made = [
        package
        for number, subdir in enumerate(subdirs)
        for package in MadeUpChannel(each + (number < more), subdir).packages()
    ]
    random.Random(count).shuffle(made)  # noqa: S311 - made-up data, not a secret
    return made


@contextmanager
def _counted(stack: Stack) -> Iterator[Counter]:
    """Lead both functions through a counting proxy while in the context."""
    with counter(_port(stack)) as proxy:
        before = {
            name: stack.functions.get_function_configuration(FunctionName=name)["Environment"]
            for name in (stack.extract_function, stack.merge_function)
        }
        for name, environment in before.items():
            variables = {**environment["Variables"], "AWS_ENDPOINT_URL": proxy.endpoint}
            stack.functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": variables}
            )
        try:
            yield proxy
        finally:
            for name, environment in before.items():
                stack.functions.update_function_configuration(
                    FunctionName=name, Environment={"Variables": environment["Variables"]}
                )


def _port(stack: Stack) -> int:
    port = urlsplit(stack.endpoint).port
    assert port
    return port


def _wait_until_done(channel: Channel, deadline: float, say: Say) -> None:
    """Wait until the queues of work are empty, and tell now and then how far it is."""
    told = time.monotonic()
    while True:
        depths = channel.deployed.depths()
        # In this order messages beget messages, and what was seen empty stays so.
        if not any(depth for queue, depth in depths.items() if not queue.endswith("Dlq")):
            return
        now = time.monotonic()
        if now > deadline:
            raise TimeoutError(f"not done in time: {depths}")
        if now > told + _TOLD_SECONDS:
            told = now
            say(", ".join(f"{queue} {depth:,}" for queue, depth in depths.items()))
        time.sleep(_POLL_SECONDS)


def _uploaded(packages: list[Package]) -> dict[str, File]:
    return {
        package.path: (md5(package.body, usedforsecurity=False).hexdigest(), len(package.body))
        for package in packages
    }


def _listed(channel: Channel) -> dict[str, File]:
    stack = channel.deployed.stack
    pages = stack.s3.get_paginator("list_objects_v2").paginate(
        Bucket=stack.channel_bucket, Prefix=channel.prefix
    )
    return {
        # The ETag of an upload in one part is its MD5.
        found["Key"].removeprefix(channel.prefix): (found["ETag"].strip('"'), found["Size"])
        for page in pages
        for found in page.get("Contents", ())
        if parse_package_key(found["Key"])
    }


def _indexed(indexes: Mapping[str, Index]) -> dict[str, File]:
    return {
        f"{subdir}/{filename}": (record["md5"], record["size"])
        for subdir, index in indexes.items()
        for filename, record in index.records.items()
    }
