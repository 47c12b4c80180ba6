"""``python -m benchmarks.watch_soak``: thousands of uploads while ``sluice watch`` is killed.

SeaweedFS posts its own events to the first process.  Packages come in bursts, and one process after
the other gets SIGKILL and is started again.  With a lease, only the holder is killed, so that each
kill meets work, and each takes the 45 seconds that a lease is silent.  Exits with 1 if a package is
lost, if ``sluice verify`` finds anything, or if memory grows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

from testkit.channel import Package, conda
from testkit.child_process import ROOT
from testkit.real_s3.seaweedfs import run_seaweedfs
from testkit.real_s3.server import RealServer, free_ports
from testkit.watch_process import TOKEN, WatchProcess, watch_process

SUBDIRS = ("linux-64", "osx-arm64", "win-64", "noarch", "linux-aarch64")
BUCKET, STATE, CHANNEL = "soak", "soak-state", "team"
ADDRESS = f"s3://{BUCKET}/{CHANNEL}"
ROUNDS = 20
"""In which memory is measured."""
RSS_GROWTH_MAX = 1.15
"""After the last round, of what it was after the third."""
_UPLOAD_THREADS = 4
_BURST = 100
_SETTLED_SECONDS_MAX = 600
_READY_SECONDS_MAX = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it with one number of processes; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--leader", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="watch-soak-") as folder:
        ports = free_ports(options.replicas)
        with run_seaweedfs(f"http://127.0.0.1:{ports[0]}/events", TOKEN) as server:
            for bucket in (BUCKET, STATE):
                server.client.create_bucket(Bucket=bucket)
            soak = Soak(server, ports, Path(folder), random.Random(options.seed), options.leader)  # noqa: S311 - which to kill
            result = {**vars(options), **soak.run(options.packages, options.kills)}
    print(json.dumps(result, indent=2))
    return 1 if result["problems"] else 0


@dataclass
class Soak:
    """One run."""

    server: RealServer
    ports: Sequence[int]
    folder: Path
    random: random.Random
    leader: bool
    problems: list[str] = field(default_factory=list)

    def run(self, packages: int, kills: int) -> dict[str, Any]:
        """Run it; what was measured."""
        began = time.monotonic()
        uploads = [_package(number, subdir) for number, subdir in _names(packages)]
        done = Event()
        uploader = Thread(target=self._upload_all, args=(uploads, done), daemon=True)
        with ExitStack() as stack:
            processes = [stack.enter_context(self._start(port)) for port in self.ports]
            uploader.start()
            killed = self._kill(stack, processes, kills, done)
            uploader.join()
            uploaded = time.monotonic()
            lost = self._wait_for(uploads)
            settled = time.monotonic()
            sizes = self._rounds(processes)
            exits = [process.terminate() for process in processes]
        self._check_exits(exits)
        findings = self._verify()
        return {
            "killed": killed,
            "lost": lost,
            "findings": findings,
            "seconds_until_all_uploaded": round(uploaded - began, 1),
            "seconds_until_all_indexed_after_that": round(settled - uploaded, 1),
            "rss_kib_after_round_3": sizes[2],
            "rss_kib_after_round_20": sizes[-1],
            "rss_growth": round(sizes[-1] / sizes[2], 3),
            "stop_seconds": [round(seconds, 2) for _, seconds in exits],
            "problems": self.problems,
        }

    def _start(self, port: int) -> Any:
        return watch_process(
            [ADDRESS],
            *("--state", STATE, "--debounce", "2", "--poll", "5"),
            *(["--leader"] if self.leader else []),
            port=port,
            log=self.folder / f"{port}.log",
            environment=self.server.environment,
        )

    def _upload_all(self, packages: Sequence[Package], done: Event) -> None:
        """In bursts, until all are there."""
        shuffled = list(packages)
        self.random.shuffle(shuffled)
        with ThreadPoolExecutor(_UPLOAD_THREADS) as pool:
            for start in range(0, len(shuffled), _BURST):
                list(pool.map(self._upload, shuffled[start : start + _BURST]))
                time.sleep(0.5)
        done.set()

    def _upload(self, package: Package) -> None:
        key = f"{CHANNEL}/{package.path}"
        self.server.client.put_object(Bucket=BUCKET, Key=key, Body=package.body)

    def _kill(
        self, stack: ExitStack, processes: list[WatchProcess], kills: int, done: Event
    ) -> dict[str, int]:
        """Kill processes, each while it is at work; how many while packages were uploaded."""
        during = 0
        for number in range(kills):
            index = self._victim(processes)
            time.sleep(self.random.uniform(0.1, 2.0))
            during += not done.is_set()
            processes[index].kill()
            if done.is_set() and number < kills - 1:  # something has to be under way all the same
                self._upload(_package(10**6 + number, SUBDIRS[number % len(SUBDIRS)]))
            processes[index] = stack.enter_context(self._start(self.ports[index]))
        return {"in_all": kills, "while_uploading": during}

    def _victim(self, processes: Sequence[WatchProcess]) -> int:
        """One that runs; with a lease, the one that holds it."""
        end = time.monotonic() + _READY_SECONDS_MAX
        path = "/metrics" if self.leader else "/healthz"
        wanted = "sluice_watch_leader 1.0" if self.leader else "ok"
        while time.monotonic() < end:
            indexes = list(range(len(processes)))
            self.random.shuffle(indexes)
            for index in indexes:
                if wanted in processes[index].get(path)[1]:
                    return index
            time.sleep(0.1)
        self.problems.append("no process was at work in time")
        return 0

    def _wait_for(self, packages: Sequence[Package]) -> int:
        """Wait until all are in the index; how many are not, in the end."""
        wanted = {package.path: sha256(package.body).hexdigest() for package in packages}
        end = time.monotonic() + _SETTLED_SECONDS_MAX
        lost = len(wanted)
        while lost and time.monotonic() < end:
            time.sleep(1)
            published = self._published()
            lost = sum(published.get(path) != digest for path, digest in wanted.items())
        if lost:
            self.problems.append(f"{lost} packages are lost")
        return lost

    def _published(self) -> dict[str, str]:
        """The digests in ``repodata.json`` of all subdirs, by path."""
        published: dict[str, str] = {}
        for subdir in SUBDIRS:
            key = f"{CHANNEL}/{subdir}/repodata.json"
            try:
                body = self.server.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            except self.server.client.exceptions.NoSuchKey:
                continue
            records = json.loads(body)["packages.conda"]
            published |= {f"{subdir}/{file}": one["sha256"] for file, one in records.items()}
        return published

    def _rounds(self, processes: Sequence[WatchProcess]) -> list[int]:
        """The memory of the process that works, after each of some rounds with an upload."""
        worker = processes[self._victim(processes)]
        sizes = []
        for number in range(ROUNDS):
            package = _package(2 * 10**6 + number, SUBDIRS[number % len(SUBDIRS)])
            self._upload(package)
            worker.list_now()
            self._wait_for([package])
            sizes.append(worker.rss_kib)
        if sizes[-1] > RSS_GROWTH_MAX * sizes[2]:
            self.problems.append(f"memory has grown: {sizes}")
        return sizes

    def _check_exits(self, exits: Sequence[tuple[int, float]]) -> None:
        for code, seconds in exits:
            if code != 0 or seconds > 20:
                self.problems.append(f"exit code {code} {seconds:.1f} s after SIGTERM")

    def _verify(self) -> int:
        """What ``sluice verify`` finds."""
        paths = [str(ROOT / "layers" / "sluice"), str(ROOT)]
        variables = {**os.environ, **self.server.environment, "PYTHONPATH": os.pathsep.join(paths)}
        command = [
            sys.executable,
            "-m",
            "sluice.cli",
            "verify",
            ADDRESS,
            "--state",
            STATE,
            "--json",
        ]
        ended = subprocess.run(
            command, env=variables, capture_output=True, text=True, check=False, timeout=600
        )
        findings = json.loads(ended.stdout)["found"]["findings"]
        if findings:
            self.problems.append(f"verify: {findings[:3]}")
        return len(findings)


def _names(packages: int) -> Iterator[tuple[int, str]]:
    for number in range(packages):
        yield number, SUBDIRS[number % len(SUBDIRS)]


def _package(number: int, subdir: str) -> Package:
    index = {
        "name": f"lib{number // 10}",
        "version": f"1.{number}",
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": subdir,
    }
    return conda(index, payload=b"%d" % number)


if __name__ == "__main__":
    sys.exit(main())
