"""``python -m benchmarks.render``: tables and pictures of what ``results.json`` holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import plots, report, results
from benchmarks.markdown import Table, table
from benchmarks.processes import ROOT

REPORT = Path(__file__).with_name("results.md")
_PREFACE = (
    "Written by `make bench-report` from [results.json](results.json), which `make bench` writes; "
    "what each number means stands in [README.md](README.md)."
)
PICTURES = ROOT / "docs" / "benchmarks"


def main() -> None:
    """Write ``results.md``, and draw the plots."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__)
    parser.add_argument("--results", type=Path, default=results.PATH)
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    arguments = parser.parse_args()
    found = results.read(arguments.results)
    arguments.report.write_text(document(found))
    print(arguments.report)
    for path in plots.draw(found, arguments.pictures):
        print(path)


def document(found: results.Results) -> str:
    """All of it as one Markdown document."""
    parts = [
        "# Benchmark results",
        _PREFACE,
    ]
    for title, body in report.sections(found):
        parts += [f"## {title}", body]
    if pictures := _pictures(found):
        parts += ["## Against the size of the channel", table(pictures)]
    parts.append("## Measured")
    for date, conditions in found.runs.items():
        cases = [one.case for one in found.cases if one.run == date]
        sizes = sorted({case.packages for case in cases if case.packages > 1})
        told = ", ".join(f"{size:,}" for size in sizes) or "large"
        names = ", ".join(sorted({case.operation for case in cases}))
        parts += [f"Packages: {told}. Operations: {names}.", conditions.table()]
    return "\n\n".join(parts) + "\n"


def _pictures(found: results.Results) -> Table:
    """All plots, a row for each operation that was measured; else no table."""
    folder = Path("..") / PICTURES.relative_to(ROOT)
    header = ["", *(quantity.title for quantity in plots.QUANTITIES)]
    rows = [
        [
            figures.doing,
            *(f"![]({folder / figures.file(of)}.svg)" for of in plots.QUANTITIES),
        ]
        for figures in plots.FIGURES
        if figures.measured(found)
    ]
    return [header, *rows] if rows else []


if __name__ == "__main__":
    main()
