"""``python -m benchmarks.cost``: dollars, from what was measured and list prices: docs/cost.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import results
from benchmarks.cost_model import Missing, sizes
from benchmarks.cost_page import page
from benchmarks.processes import ROOT

PAGE = ROOT / "docs" / "cost.md"


def main() -> int:
    """Write the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--results", type=Path, default=results.PATH)
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    try:
        found = sizes(results.read(arguments.results))
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    arguments.page.write_text(page(found))
    print(arguments.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
