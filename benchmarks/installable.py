"""``python -m benchmarks.installable``: from an upload to the index that a client installs from.

The whole local stack, with real processes and queues, and a channel of 10,000 packages.  Packages
are uploaded one at a time, each after a quiet time, with functions that are warm and with functions
that have to start; then in bursts.  Printed is the time from PUT to the shards and to
``repodata.json``, and how many merges that took.  Writes ``results-installable.md``.

All functions, S3 and the client share this machine's cores, which they do not on AWS; and the
emulator's queues and starts of functions are not those of AWS.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import msgpack
from botocore.exceptions import ClientError

from benchmarks import channel as channels
from benchmarks.markdown import Table, table
from benchmarks.processes import Say, progress
from benchmarks.results import observe
from local.stack import Stack, run_stack
from sluice import zstd
from sluice.conda.names import package_name
from sluice.layout import REPODATA, SHARD_INDEX, Subdir
from testkit.channel import Package, conda
from testkit.deployed import Channel, Deployed
from testkit.made_up import SUBDIR

RESULTS = Path(__file__).with_name("results-installable.md")
_DEBOUNCE_SECONDS = 10
"""The template's default."""
_POLL_S = 0.02
_SECONDS_MAX = 600.0
_NAMES = 20
"""Package names of all uploads."""
_UPLOAD_THREADS = 4
_VERSIONS = ("boto3", "msgspec", "zstandard", "ministack")


@dataclass(frozen=True, slots=True)
class Seen:
    """When an upload, or the last of a burst, was first seen; seconds after its PUT began."""

    in_shards: float
    in_repodata: float
    merges: int
    """Merges of the subdir, until all was quiet."""


@dataclass(slots=True)
class _Reader:
    """Reads the index of one subdir as clients do, again whenever it has changed."""

    stack: Stack
    subdir: Subdir
    _etags: dict[str, str] = field(default_factory=dict)
    _shards: dict[str, bytes] = field(default_factory=dict)

    def is_in_shards(self, filenames: Sequence[str]) -> bool:
        """Whether the shards have changed and hold all of these files."""
        body = self._read_if_changed(SHARD_INDEX)
        if body is None:
            return False
        shards = msgpack.unpackb(zstd.decompress(body))["shards"]
        return all(
            filename.encode() in self._shard(shards.get(package_name(filename)))
            for filename in filenames
        )

    def is_in_repodata(self, filenames: Sequence[str]) -> bool:
        """Whether ``repodata.json`` has changed and holds all of these files."""
        body = self._read_if_changed(REPODATA)
        return body is not None and all(f'"{filename}"'.encode() in body for filename in filenames)

    def _read_if_changed(self, file: str) -> bytes | None:
        s3, bucket, key = self.stack.s3, self.stack.channel_bucket, self.subdir.file_key(file)
        try:
            if s3.head_object(Bucket=bucket, Key=key)["ETag"] == self._etags.get(file):
                return None
            stored = s3.get_object(Bucket=bucket, Key=key)
        except ClientError:  # another write of it is under way, or it does not exist yet
            return None
        self._etags[file] = stored["ETag"]
        return stored["Body"].read()

    def _shard(self, digest: bytes | None) -> bytes:
        if digest is None:
            return b""
        key = self.subdir.shard_key(digest.hex())
        if key not in self._shards:
            stored = self.stack.s3.get_object(Bucket=self.stack.channel_bucket, Key=key)
            self._shards[key] = zstd.decompress(stored["Body"].read())
        return self._shards[key]


class Measurement:
    """One channel, into which is uploaded."""

    def __init__(self, deployed: Deployed, channel: Channel, say: Say) -> None:
        self._deployed = deployed
        self._channel = channel
        self._say = say
        self._reader = _Reader(deployed.stack, channel.subdir(SUBDIR))
        self._versions = 0

    def fill(self, size: int) -> None:
        """Put a channel there that another tool has indexed; sluice takes it over."""
        stack = self._deployed.stack
        with self._deployed.without_events(), ThreadPoolExecutor(_UPLOAD_THREADS) as pool:
            for path, body in channels.files(size):
                pool.submit(
                    stack.s3.put_object,
                    Bucket=stack.channel_bucket,
                    Key=self._channel.prefix + path,
                    Body=body,
                )
        self._channel.upload(*self._packages(1))
        self._deployed.wait_until_quiet()

    def alone(self, count: int, prepare: Callable[[], None] = lambda: None) -> list[Seen]:
        """Upload packages one at a time, each when the last commit is older than the debounce."""
        seen = []
        for number in range(count):
            time.sleep(_DEBOUNCE_SECONDS + 2)
            prepare()
            seen.append(self.upload(1))
            self._say(
                f"{number + 1} of {count}: shards after {seen[-1].in_shards:.2f} s, "
                f"repodata.json after {seen[-1].in_repodata:.2f} s"
            )
        return seen

    def burst(self, count: int) -> Seen:
        """Upload packages as fast as the emulator takes them."""
        time.sleep(_DEBOUNCE_SECONDS + 2)
        seen = self.upload(count)
        self._say(
            f"burst of {count:,}: shards after {seen.in_shards:.1f} s, repodata.json after "
            f"{seen.in_repodata:.1f} s, {seen.merges} merges"
        )
        return seen

    def upload(self, count: int) -> Seen:
        """Upload packages, and wait until the last of them is seen."""
        packages = self._packages(count)
        filenames = [package.filename for package in packages]
        merges = self._merges()
        started = time.monotonic()
        with ThreadPoolExecutor(_UPLOAD_THREADS) as pool:
            uploads = [pool.submit(self._channel.upload, package) for package in packages]
            for upload in uploads:
                upload.result()
        in_shards: float | None = None
        in_repodata: float | None = None
        while in_shards is None or in_repodata is None:
            time.sleep(_POLL_S)
            now = time.monotonic() - started
            if in_shards is None and self._reader.is_in_shards(filenames):
                in_shards = now
            if in_repodata is None and self._reader.is_in_repodata(filenames):
                in_repodata = now
            if now > _SECONDS_MAX:
                raise TimeoutError(f"not indexed after {now:.0f} s: {filenames[0]} and others")
        self._deployed.wait_until_quiet()
        return Seen(in_shards, in_repodata, self._merges() - merges)

    def _packages(self, count: int) -> list[Package]:
        """Packages that were never uploaded before."""
        first = self._versions
        self._versions += count
        return [
            conda(
                {
                    "build": "0",
                    "build_number": 0,
                    "depends": [],
                    "subdir": SUBDIR,
                    "name": f"uploaded-{number % _NAMES}",
                    "version": str(number),
                }
            )
            for number in range(first, first + count)
        ]

    def _merges(self) -> int:
        lines = self._deployed.lines(
            self._deployed.stack.merge_function, channel=self._channel.name, message="merged"
        )
        return sum(line.get("subdir") == SUBDIR for line in lines)


def report(measured: Mapping[str, Sequence[Seen]]) -> str:
    """The measurements as a Markdown table: medians, and 19 in 20."""
    head = ["What", "Times", "Shards p50", "p95", "repodata.json p50", "p95", "Merges, at most"]
    rows: Table = [head]
    for what, seen in measured.items():
        cells = [what, str(len(seen))]
        for values in ([one.in_shards for one in seen], [one.in_repodata for one in seen]):
            cells += [f"{value:.2f} s" for value in _percentiles(values)]
        rows.append([*cells, str(max(one.merges for one in seen))])
    return table(rows)


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The median, and what 19 in 20 do not exceed."""
    if len(values) == 1:
        return values[0], values[0]
    cuts = quantiles(values, n=20, method="inclusive")
    return cuts[9], cuts[18]


def _cold(stack: Stack) -> Callable[[], None]:
    """Have both functions start anew with their next message."""
    numbers: Iterator[int] = iter(range(sys.maxsize))

    def restart() -> None:
        number = next(numbers)
        for name in (stack.extract_function, stack.merge_function):
            configuration = stack.functions.get_function_configuration(FunctionName=name)
            variables = configuration["Environment"]["Variables"]
            stack.functions.update_function_configuration(
                FunctionName=name,
                Environment={"Variables": {**variables, "RESTART": str(number)}},
            )

    return restart


def main() -> int:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000, help="packages in the channel")
    parser.add_argument("--uploads", type=int, default=30, help="that come alone, warm")
    parser.add_argument("--cold", type=int, default=10, help="that come alone, cold")
    parser.add_argument("--bursts", type=int, nargs="*", default=[20, 1000])
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    conditions, say = observe("make bench-installable", *_VERSIONS), progress()
    measured: dict[str, Sequence[Seen]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="sluice-installable-") as folder,
        run_stack(Path(folder), debounce_seconds=_DEBOUNCE_SECONDS, say=say) as stack,
    ):
        deployed = Deployed(stack, seconds_max=_SECONDS_MAX)
        deployed.wait_until_quiet()
        measurement = Measurement(deployed, Channel(deployed, "team"), say)
        measurement.fill(options.size)
        say(f"a channel of {options.size:,} packages is taken over")
        measurement.alone(1)
        if options.uploads:
            measured["one upload, warm"] = measurement.alone(options.uploads)
        if options.cold:
            measured["one upload, cold"] = measurement.alone(options.cold, _cold(stack))
        for count in options.bursts:
            measured[f"burst of {count:,}: the last"] = [measurement.burst(count)]
    text = (
        "# From upload to index\n\nWritten by `make bench-installable`, which says what it "
        f"measures, with `DebounceSeconds={_DEBOUNCE_SECONDS}`.\n\n"
        f"{report(measured)}\n\n{conditions.table()}\n"
    )
    options.output.write_text(text)
    print(report(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
