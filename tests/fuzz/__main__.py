"""Fuzz the package reader for ``FUZZ_SECONDS`` (600): ``make fuzz``.

Each layer gets its share.  What reached new code is kept in ``.fuzz/`` and tried first the next
time.  What broke the property is printed and lies in the corpus from then on, where ``make test``
meets it again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz.layers import LAYERS
from tests.fuzz.seeds import CORPUS, DICTIONARY

KEPT = Path(".fuzz")
SECONDS = 600
OPTIONS = (
    "-max_len=20000",
    "-timeout=20",  # seconds for one input
    "-rss_limit_mb=1024",
    "-print_final_stats=1",
    "-verbosity=0",
    f"-dict={DICTIONARY}",
)
_STATISTIC = re.compile(r"stat::(\w+): +(\d+)")


def fuzz(layer: str, seconds: int) -> bool:
    """Fuzz one layer and tell how it went; ``False`` where the property broke."""
    kept = KEPT / layer
    kept.mkdir(parents=True, exist_ok=True)
    seeds = CORPUS / layer
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.engine", layer, *OPTIONS),
            *(f"-max_total_time={seconds}", f"-artifact_prefix={seeds}/found-"),
            *(kept, seeds),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    told = {name: int(value) for name, value in _STATISTIC.findall(done.stderr)}
    good = done.returncode == 0
    print(  # noqa: T201  (a command line)
        f"{layer:18} {told.get('number_of_executed_units', 0):>9,} executions"
        f" {told.get('average_exec_per_sec', 0):>6,}/s"
        f" {told.get('peak_rss_mb', 0):>5} MB   {'no findings' if good else 'BROKEN'}",
        flush=True,
    )
    if not good:
        print(done.stdout, done.stderr, sep="\n")  # noqa: T201
    return good


def main() -> None:
    """Fuzz all layers, whatever is found in one; exits with 1 where something was."""
    share = max(1, int(os.environ.get("FUZZ_SECONDS") or SECONDS) // len(LAYERS))
    broken = [layer for layer in LAYERS if not fuzz(layer, share)]
    if broken:
        sys.exit(f"broken: {', '.join(broken)}; `git status` shows the inputs")


if __name__ == "__main__":
    main()
