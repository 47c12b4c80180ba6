"""``python -m benchmarks.slow_flood``: one channel's uploads while another gets bombs.

The whole local stack, with real processes and queues.  One channel gets 20 small packages in 40 s,
first alone and then while another channel has 200 packages that take long to read and have no
metadata.  Printed is how long until 19 in 20 are in the index.  All functions share this machine's
cores, which they do not on Lambda.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from benchmarks.markdown import table
from benchmarks.processes import progress
from local.stack import run_stack
from sluice.layout import REPODATA
from testkit.bombs import bz2_bomb
from testkit.channel import Package, conda
from testkit.deployed import Channel, Deployed

RATIO_MAX = 2.0
_DEBOUNCE_SECONDS = 10
"""The template's default."""
_UPLOADS = 20
_UPLOAD_INTERVAL_S = 2.0
_POLL_S = 0.25
_SECONDS_MAX = 1800.0
_UPLOAD_THREADS = 4
_INDEX = {"build": "0", "build_number": 0, "depends": [], "subdir": "linux-64"}


def p95_seconds(channel: Channel) -> float:
    """Upload the packages one after the other; from upload to index, s."""
    packages = [conda({**_INDEX, "name": "app", "version": str(n)}) for n in range(_UPLOADS)]
    uploaded: dict[str, float] = {}
    with _watch(channel) as indexed:
        for package in packages:
            channel.upload(package)
            uploaded[package.filename] = time.monotonic()
            time.sleep(_UPLOAD_INTERVAL_S)
        deadline = time.monotonic() + _SECONDS_MAX
        while uploaded.keys() - indexed.keys():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not indexed: {sorted(uploaded.keys() - indexed.keys())}")
            time.sleep(_POLL_S)
    took = [indexed[filename] - at for filename, at in uploaded.items()]
    return quantiles(took, n=20, method="inclusive")[-1]


def upload_bombs(channel: Channel, count: int) -> None:
    """Upload so many packages that take long to read, as fast as the emulator takes them."""
    body = bz2_bomb()
    bombs = [Package("linux-64", f"bomb-{n}-0.tar.bz2", body) for n in range(count)]
    with ThreadPoolExecutor(_UPLOAD_THREADS) as pool:
        list(pool.map(channel.upload, bombs))


def main() -> int:
    """Print a table; returns 1 if the uploads took more than ``RATIO_MAX`` times as long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bombs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--slow-workers", type=int, default=2)
    options = parser.parse_args()
    say = progress()
    parameters = {
        "ExtractConcurrency": str(options.workers),
        "SlowExtractConcurrency": str(options.slow_workers),
    }
    with (
        tempfile.TemporaryDirectory(prefix="sluice-slow-flood-") as folder,
        run_stack(
            Path(folder), debounce_seconds=_DEBOUNCE_SECONDS, parameters=parameters, say=say
        ) as stack,
    ):
        deployed = Deployed(stack, seconds_max=_SECONDS_MAX)
        deployed.wait_until_quiet()
        p95_seconds(Channel(deployed, "warm"))
        quiet = p95_seconds(Channel(deployed, "quiet"))
        say(f"without bombs: {quiet:.1f} s")
        started = time.monotonic()
        upload_bombs(Channel(deployed, "flood"), options.bombs)
        flooded = p95_seconds(Channel(deployed, "team"))
        left = deployed.depths()["SlowUploadQueue"]
        say(f"with bombs: {flooded:.1f} s; {left} bombs still waited")
        deployed.wait_until_quiet()
        drained = time.monotonic() - started
    columns = ["extracts at once", "without bombs", "with bombs", "bombs left then", "all rejected"]
    workers = f"{options.workers} and {options.slow_workers}"
    row = [workers, f"{quiet:.1f} s", f"{flooded:.1f} s", f"{left}", f"{drained:.0f} s"]
    print(table([columns, row]))
    return int(flooded > RATIO_MAX * quiet)


@contextmanager
def _watch(channel: Channel) -> Iterator[dict[str, float]]:
    """Note when each file is first seen in the index, by the monotonic clock."""
    bucket = channel.deployed.stack.channel_bucket
    key = channel.subdir("linux-64").file_key(REPODATA)
    seen: dict[str, float] = {}
    ended = threading.Event()

    def poll() -> None:
        while not ended.wait(_POLL_S):
            at = time.monotonic()
            body = channel.deployed.get(bucket, key)
            for filename in json.loads(body)["packages.conda"] if body else ():
                seen.setdefault(filename, at)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
