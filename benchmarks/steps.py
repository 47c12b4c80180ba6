"""Where publishing a large index takes its time: ``python -m benchmarks.steps``.

Each step of splicing ``repodata.json`` by itself, on a made-up index, in one process: what merge
does between the download of the last ``.zst`` and the upload of the next files.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import msgspec

from benchmarks.conditions import load_average, observe
from benchmarks.indexes import KINDS
from benchmarks.markdown import Table, table
from benchmarks.worker import peak_bytes
from sluice import zstd
from sluice.limits import MIB
from sluice.publish import repodata
from sluice.publish.fence import Stamp
from sluice.publish.gc_pause import without_cycle_collection
from sluice.storage.s3_client import checksum

_RECORDS = (10_000, 100_000, 500_000)
_STAMP = Stamp(generation=8, tree="8f" * 32, owner="state-bucket")

R = TypeVar("R")


@dataclass(slots=True)
class Watch:
    """Takes the time of steps, one after the other."""

    taken: list[tuple[str, float, float]] = field(default_factory=list)
    """Of each step: wall and CPU seconds."""

    def run(self, step: str, do: Callable[..., R], *arguments: Any) -> R:
        """Do a step."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = do(*arguments)
        self.taken.append((step, time.perf_counter() - wall, time.process_time() - cpu))
        return result


def splice(packed: bytes, watch: Watch) -> None:
    """Splice a new record into an index, as merge does."""
    body = watch.run("decompress", zstd.decompress, packed)
    contents = watch.run("read, records stay raw", repodata.read, body)
    body = b""
    contents.records["zzz-1-0.conda"] = msgspec.Raw(b'{"name":"zzz"}')
    render = partial(repodata.render, info={}, subdir="linux-64", stamp=_STAMP)
    rendered = watch.run("sort and write", render, contents)
    contents = repodata.Contents()
    watch.run("compress", zstd.compress, rendered)
    watch.run("checksum", checksum, rendered)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("records", nargs="*", type=int, default=_RECORDS)
    parser.add_argument("--kind", choices=KINDS, default=next(iter(KINDS)), help="of index")
    arguments = parser.parse_args()
    load = load_average()
    rows: Table = [["records", "MB", "step", "wall s", "CPU s"]]
    for records in arguments.records:
        index = KINDS[arguments.kind](records)
        size, packed = len(index) / 1e6, zstd.compress(index)
        del index
        watch = Watch()
        with without_cycle_collection():
            splice(packed, watch)
        rows += [
            [f"{records:,}", f"{size:.0f}", step, f"{wall:.2f}", f"{cpu:.2f}"]
            for step, wall, cpu in watch.taken
        ]
        rows.append([f"{records:,}", "", f"peak {peak_bytes() / MIB:.0f} MiB", "", ""])
    command = "python -m benchmarks.steps"
    print(observe(command=command, load_before=load, packages=["msgspec", "zstandard"]).table())
    print()
    print(table(rows))


if __name__ == "__main__":
    main()
