"""What compressing an index costs: ``python -m benchmarks.compression``.

sluice's parameters beside what rattler-index does to ``repodata.json.zst`` (level 19, one thread),
on made-up indexes of several sizes.  Each figure is the least of the runs, each setting has a
process of its own.  Level 19 takes minutes for the largest.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import zstandard

from benchmarks.conditions import load_average, observe
from benchmarks.indexes import KINDS
from benchmarks.markdown import Table, table
from sluice import zstd
from sluice.limits import KIB, MIB

_RECORDS = (100, 1_000, 10_000, 20_000, 100_000, 320_000)
_RUNS = 5


def level_19(data: bytes) -> bytes:
    """Compress as rattler-index does: as a stream, so that zstd is not told the size."""
    compressor = zstandard.ZstdCompressor(level=19).compressobj()
    return compressor.compress(data) + compressor.flush()


_SETTINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "sluice": zstd.compress,
    "level 19": level_19,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What compressing one index once took."""

    packed_bytes: int
    cpu_s: float
    wall_s: float
    extra_bytes: int
    """Peak memory beyond the input and the output."""


def cost(path: Path, setting: str, *, cores: int, runs: int) -> Cost:
    """Measure in a process of its own, which may use so many cores."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_cost, path, setting, cores=cores, runs=runs).result()


def _cost(path: Path, setting: str, *, cores: int, runs: int) -> Cost:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    data = path.read_bytes()
    before = _memory("VmRSS")
    # The first run tells the peak: later ones find memory that it has left behind.
    all_runs = [_run(data, setting, before) for _ in range(runs)]
    return Cost(
        all_runs[0].packed_bytes,
        min(run.cpu_s for run in all_runs),
        min(run.wall_s for run in all_runs),
        all_runs[0].extra_bytes,
    )


def _run(data: bytes, setting: str, before: int) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    packed = _SETTINGS[setting](data)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Cost(len(packed), cpu, wall, max(0, _memory("VmHWM") - before - len(packed)))


def _memory(key: str) -> int:
    """Of this process; ``VmHWM`` is the peak."""
    found = re.search(rf"^{key}:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * KIB


def _rows(kind: str, records: int, path: Path) -> Iterator[list[str]]:
    size = path.write_bytes(KINDS[kind](records))
    best = cost(path, "level 19", cores=1, runs=1)
    ours = cost(path, "sluice", cores=2, runs=_RUNS)
    alone = cost(path, "sluice", cores=1, runs=_RUNS)
    assert alone.packed_bytes == ours.packed_bytes
    for setting, measured, one_core in (("sluice", ours, alone), ("level 19", best, best)):
        yield [
            kind,
            f"{records:,}",
            f"{size / 1e6:.2f}",
            setting,
            f"{measured.packed_bytes / 1e6:.3f}",
            f"{measured.packed_bytes / best.packed_bytes:.3f}",
            f"{measured.cpu_s:.4f}",
            f"{measured.wall_s:.4f}",
            f"{one_core.wall_s:.4f}",
            f"{measured.extra_bytes / MIB:.0f}",
        ]


_HEAD = ["index", "records", "MB", "setting", "packed MB", "to level 19", "CPU s", "wall s"]
_HEAD += ["wall s, one core", "more MiB"]


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="*", type=int, default=_RECORDS)
    parser.add_argument("--kind", action="append", choices=KINDS, help="of index; all by default")
    arguments = parser.parse_args()
    load = load_average()
    rows: Table = [_HEAD]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "repodata.json"
        for kind in arguments.kind or KINDS:
            for records in arguments.records:
                rows += _rows(kind, records, path)
    command = "python -m benchmarks.compression"
    print(observe(command=command, load_before=load, packages=["zstandard"]).table())
    print()
    print(table(rows))


if __name__ == "__main__":
    main()
