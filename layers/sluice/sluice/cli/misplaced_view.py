"""Renders misplaced files for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from sluice.cli.formatting import format_cell, format_count
from sluice.extract.misplaced import MisplacedFiles
from sluice.limits import MISPLACED_EXAMPLES_MAX


def render_misplaced(files: Sequence[MisplacedFiles]) -> Iterator[Text]:
    """Show how many files are misplaced, and examples with the reasons."""
    count = sum(of_channel.count for of_channel in files)
    if not count:
        return
    at_least = "at least " if any(of_channel.more for of_channel in files) else ""
    verb = "has" if count == 1 else "have"
    yield Text(
        f"{at_least}{format_count(count, 'object')} {verb} the suffix of a package, but a key that "
        "cannot be indexed:",
        style="yellow",
    )
    examples = [example for of_channel in files for example in of_channel.examples]
    for example in examples[:MISPLACED_EXAMPLES_MAX]:
        yield Text(f"  {format_cell(example.key)}: {format_cell(example.reason)}")
    if count > MISPLACED_EXAMPLES_MAX:
        yield Text("  …")
